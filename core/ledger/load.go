package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	// loadPage is how many rows one page has at most; a rebuild's load call takes as many.
	loadPage = 1000
	// loadTogether is how many tags are read at a time, and how many coupons' rows one page may hold: a thousand small
	// coupons cost few statements.
	loadTogether = 200
	// loadWait replaces sessionWait while a snapshot is read, in seconds: between two pages a gate is filled, which
	// may take longer when Redis is slow, and a snapshot locks nothing that others wait for.
	loadWait = 120
)

// LoadTags reads the coupons of these tags, with their terms and the revision applied, then their rows in pages of at
// most 1000 by key, all statuses, from one consistent snapshot that is taken after the call began (rule 22). A coupon is
// told before its rows; an error of either function ends it and is returned.
func (b *Book) LoadTags(ctx context.Context, tags []string, coupons func([]coupon.Coupon) error,
	rows func(ref coupon.Ref, rows []coupon.Place) error,
) error {
	load := func(tx *gorm.DB) error {
		for part := range chunks(sorted(tags), loadTogether) {
			l := loading{tx: tx, rows: rows, refs: make(map[int64]coupon.Ref)}
			if err := l.run(part, coupons); err != nil {
				return err
			}
		}
		return nil
	}
	// READ COMMITTED, the sessions' level, would take a new snapshot for each page.
	snapshot := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	if b.dialect == dialectSQLite {
		snapshot.Isolation = sql.LevelDefault // every transaction reads one snapshot there
	}
	err := b.read.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if b.dialect == dialectSQLite {
			return load(tx)
		}
		if err := setWait(tx, loadWait); err != nil {
			return err
		}
		return errors.Join(load(tx), setWait(tx, int(sessionWait.Seconds())))
	}, snapshot)
	if err != nil {
		return fmt.Errorf("load tags: %w", err)
	}
	return nil
}

func setWait(tx *gorm.DB, seconds int) error {
	return tx.Exec(fmt.Sprintf("SET SESSION wait_timeout = %d", seconds)).Error
}

// loading is the reading of some tags inside one snapshot.
type loading struct {
	tx   *gorm.DB
	rows func(ref coupon.Ref, rows []coupon.Place) error
	refs map[int64]coupon.Ref
}

func (l *loading) run(tags []string, told func([]coupon.Coupon) error) error {
	var found []couponRow
	if err := l.tx.Where("tag IN ?", tags).Order("id").Find(&found).Error; err != nil {
		return err
	}
	siblings := make(map[string][]int64)
	for _, row := range found {
		siblings[row.Tag] = append(siblings[row.Tag], row.ID)
	}
	list := couponsOf(found)
	for _, c := range list {
		l.refs[c.ID] = c.Ref(siblings[c.Tag()])
	}
	if err := told(list); err != nil {
		return err
	}
	return l.issues(idsOf(found))
}

// issues walks the rows of coupons, ids ascending, by the primary key: pages over many coupons, and where a page ends
// within a coupon, pages of the rest of that one.
func (l *loading) issues(ids []int64) error {
	for len(ids) > 0 {
		some := ids[:min(loadTogether, len(ids))]
		page, err := l.page(l.tx.Where("coupon_id IN ?", some))
		if err != nil {
			return err
		}
		if len(page) < loadPage {
			ids = ids[len(some):]
			continue
		}
		last := page[len(page)-1]
		if err := l.rest(last); err != nil {
			return err
		}
		done, _ := slices.BinarySearch(ids, last.CouponID)
		ids = ids[done+1:]
	}
	return nil
}

// rest tells the rows of a coupon that come after one.
func (l *loading) rest(after issueRow) error {
	for {
		// The first condition on user_id is what the index is entered by; a row comparison would be a scan on MySQL.
		page, err := l.page(l.tx.Where("coupon_id = ? AND user_id >= ?", after.CouponID, after.UserID).
			Where("(user_id > ? OR nth > ?)", after.UserID, after.Nth))
		if err != nil || len(page) < loadPage {
			return err
		}
		after = page[len(page)-1]
	}
}

// page reads one page and tells its rows, coupon by coupon.
func (l *loading) page(where *gorm.DB) ([]issueRow, error) {
	var page []issueRow
	if err := where.Order("coupon_id, user_id, nth").Limit(loadPage).Find(&page).Error; err != nil {
		return nil, err
	}
	for from := 0; from < len(page); {
		to := from
		places := make([]coupon.Place, 0, len(page)-from)
		for ; to < len(page) && page[to].CouponID == page[from].CouponID; to++ {
			places = append(places, page[to].place())
		}
		if err := l.rows(l.refs[page[from].CouponID], places); err != nil {
			return nil, err
		}
		from = to
	}
	return page, nil
}
