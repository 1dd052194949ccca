package ledger

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// attempt is one batch on its way into the book. Its run is one transaction, which may be run again.
type attempt struct {
	book     *Book
	topic    string
	batch    []Record
	bookings map[int64]booking
	closer   bool // look for rows that are there already
	fit      bool // look for room below the caps

	verdicts verdicts // of the latest run
}

// run is the transaction of rules 11 to 15. errDuplicates and errGuard ask for another run that looks closer.
func (a *attempt) run(tx *gorm.DB) error {
	f, err := a.facts(tx)
	if err != nil {
		return err
	}
	a.verdicts = judge(a.batch, a.bookings, f)
	if a.closer || a.verdicts.doubtful {
		if f.rows, err = a.rows(tx); err != nil {
			return err
		}
		a.verdicts = judge(a.batch, a.bookings, f)
	}
	if a.fit {
		if err := a.makeFit(tx, f); err != nil {
			return err
		}
	}
	for part := range chunks(a.verdicts.issues, chunk) {
		if err := insertIssues(tx, part); duplicate(err) {
			return errDuplicates
		} else if err != nil {
			return err
		}
	}
	if err := a.keepFailures(tx, f.now); err != nil {
		return err
	}
	if err := count(tx, a.verdicts.counts()); err != nil {
		return err
	}
	crashpoint.At("consume.written")
	return nil
}

// facts locks the gates of the batch, in tag order and before anything else is read, and reads the barriers that can
// matter: those above the smallest epoch that the batch has of a tag. A barrier's epoch was its gate's when it was
// stored, so where the gate is not above the batch's smallest epoch there is none.
func (a *attempt) facts(tx *gorm.DB) (facts, error) {
	smallest := make(map[string]int64)
	for i := range a.batch {
		if b, ok := a.bookings[a.batch[i].Place.CouponID]; ok && a.batch[i].Broken == nil {
			epoch := a.batch[i].Place.Epoch
			if least, seen := smallest[b.tag]; !seen || epoch < least {
				smallest[b.tag] = epoch
			}
		}
	}
	f := facts{epochs: make(map[string]int64, len(smallest)), barriers: coupon.Barriers{}}
	var overtakable []string
	least := int64(coupon.MaxID)
	for part := range chunks(slices.Sorted(maps.Keys(smallest)), chunk) {
		var gates []gateRow
		err := forShare(tx).Select("tag, epoch, "+a.book.clockColumn("updated_at")).
			Where("tag IN ?", part).Order("tag").Find(&gates).Error
		if err != nil {
			return f, err
		}
		for _, g := range gates {
			f.epochs[g.Tag] = g.Epoch
			f.now = g.UpdatedAt
			if g.Epoch > smallest[g.Tag] {
				overtakable = append(overtakable, g.Tag)
				least = min(least, smallest[g.Tag])
			}
		}
	}
	if a.book.dialect == dialectSQLite || f.now.IsZero() {
		now, err := a.book.clock(tx)
		if err != nil {
			return f, err
		}
		f.now = at(now)
	}
	return f, a.barriers(tx, f.barriers, overtakable, least)
}

// barriers adds the barriers above an epoch. A partition that one did not note has the noted end 0 in it (rule 19).
func (a *attempt) barriers(tx *gorm.DB, into coupon.Barriers, tags []string, above int64) error {
	for part := range chunks(tags, chunk) {
		var rows []barrierRow
		err := tx.Where("tag IN ?", part).Where("epoch > ?", above).Order("tag, epoch").Find(&rows).Error
		if err != nil {
			return err
		}
		for _, r := range rows {
			of := into[r.Tag]
			if len(of) == 0 || of[len(of)-1].Epoch != r.Epoch {
				of = append(of, coupon.Barrier{Epoch: r.Epoch, Ends: map[int32]int64{}})
				into[r.Tag] = of
			}
			of[len(of)-1].Ends[r.PartitionNo] = r.NotedEnd
		}
	}
	return nil
}

// rows reads what the users of the batch have already at its coupons and, for coupons that use up the user's place in an
// event, of other coupons of that event.
func (a *attempt) rows(tx *gorm.DB) ([]issueRow, error) {
	var claims, members []pair
	for i := range a.batch {
		p := a.batch[i].Place
		b, ok := a.bookings[p.CouponID]
		if !ok || a.batch[i].Broken != nil {
			continue
		}
		claims = append(claims, pair{p.CouponID, p.UserID})
		if b.event != 0 {
			members = append(members, pair{b.event, p.UserID})
		}
	}
	rows, err := a.rowsOf(tx, "coupon_id", claims)
	if err != nil {
		return nil, err
	}
	others, err := a.rowsOf(tx, "event_id", members)
	return append(rows, others...), err
}

// pair is an id and a user; in JSON, too, a list of both.
type pair [2]any

// rowsOf reads the rows with these (id, user) pairs. MySQL scans the whole table for more than a few hundred pairs in an IN,
// and MariaDB thinks about them for seconds; joined to a table of the pairs, both enter the index once for each.
func (a *attempt) rowsOf(tx *gorm.DB, id string, pairs []pair) ([]issueRow, error) {
	const columns = "i.coupon_id, i.user_id, i.nth, i.event_id, i.idempotency_key"
	var rows []issueRow
	for part := range chunks(pairs, chunk) {
		var found []issueRow
		var err error
		if a.book.dialect == dialectSQLite {
			// Without the first condition the index of events, which has no NULLs, is not used.
			err = tx.Raw("SELECT "+columns+" FROM issues i WHERE i."+id+" IS NOT NULL AND (i."+id+", i.user_id) IN (VALUES "+
				strings.Repeat(",(?,?)", len(part))[1:]+")", flat(part)...).Scan(&found).Error
		} else {
			var list []byte
			if list, err = json.Marshal(part); err == nil {
				err = tx.Raw("SELECT "+columns+" FROM JSON_TABLE(?, '$[*]' COLUMNS(id BIGINT PATH '$[0]', "+
					"user_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PATH '$[1]')) t "+
					"STRAIGHT_JOIN issues i ON i."+id+" = t.id AND i.user_id = t.user_id", string(list)).Scan(&found).Error
			}
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
	}
	return rows, nil
}

func flat(pairs []pair) []any {
	list := make([]any, 0, 2*len(pairs))
	for _, p := range pairs {
		list = append(list, p[0], p[1])
	}
	return list
}

// makeFit judges again until nothing is left that its coupon has no room for. It locks the counters before the rows are
// inserted, against the usual order, which can only deadlock with a writer of the same rows and is tried again then.
func (a *attempt) makeFit(tx *gorm.DB, f facts) error {
	f.overflow = make(map[nthKey]bool)
	for {
		room, err := roomOf(tx, slices.Sorted(maps.Keys(a.verdicts.counts())))
		if err != nil {
			return err
		}
		out := a.verdicts.overflow(room)
		if len(out) == 0 {
			return nil
		}
		for _, key := range out {
			f.overflow[key] = true
		}
		a.verdicts = judge(a.batch, a.bookings, f)
	}
}

// roomOf says how many more rows coupons take, and locks their counters; an unlimited one is left out.
func roomOf(tx *gorm.DB, ids []int64) (map[int64]int64, error) {
	room := make(map[int64]int64)
	for part := range chunks(ids, chunk) {
		var rows []couponRow
		err := forUpdate(tx).Select("id", "total_quantity", "issued_count").Where("id IN ?", part).Order("id").Find(&rows).Error
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.TotalQuantity != nil {
				room[row.ID] = *row.TotalQuantity - row.IssuedCount
			}
		}
	}
	return room, nil
}

func (a *attempt) keepFailures(tx *gorm.DB, now stamp) error {
	rows := make([]failedRow, len(a.verdicts.failures))
	for i, f := range a.verdicts.failures {
		rows[i] = f.row(a.topic, now)
	}
	return insertFailed(tx, rows)
}
