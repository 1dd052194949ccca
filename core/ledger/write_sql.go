package ledger

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// insertIssues inserts issue rows in one statement. It is written by hand, with numbers and times in the text and only the
// users' words as parameters: gorm's Create costs three times the processor time for a thousand rows, on the path that
// every issue takes. Columns that begin as NULL are left out.
func insertIssues(tx *gorm.DB, rows []issueRow) error {
	const bytesOfRow = 160 // a good guess, so that the text is seldom moved
	b := make([]byte, 0, len(rows)*bytesOfRow)
	args := make([]any, 0, len(rows))
	b = append(b, "INSERT INTO issues (coupon_id, nth, seq, epoch, event_id, accepted_at, issued_at, expires_at, status, "+
		"user_id, idempotency_key) VALUES "...)
	for i := range rows {
		r := &rows[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '(')
		for _, n := range [...]int64{r.CouponID, int64(r.Nth), r.Seq, r.Epoch} {
			b = append(strconv.AppendInt(b, n, 10), ',')
		}
		if r.EventID != nil {
			b = append(strconv.AppendInt(b, *r.EventID, 10), ',')
		} else {
			b = append(b, "NULL,"...)
		}
		b = append(r.AcceptedAt.appendSQL(b), ',')
		b = append(r.IssuedAt.appendSQL(b), ',')
		b = append(r.ExpiresAt.appendSQL(b), ",'"...)
		b = append(b, r.Status...)
		args = append(args, r.UserID)
		if r.IdempotencyKey != nil {
			b = append(b, "',?,?)"...)
			args = append(args, *r.IdempotencyKey)
		} else {
			b = append(b, "',?,NULL)"...)
		}
	}
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, string(b), args...)
	return err
}

// count adds the new rows to the coupons' counters, in id order, under the guard of the caps. errGuard: some coupon has
// no room for all of its rows. Every coupon gets at least one row, so an affected row is one that the guard let pass.
func count(tx *gorm.DB, counts map[int64]int64) error {
	for part := range chunks(slices.Sorted(maps.Keys(counts)), chunk) {
		done := tx.Exec(countSQL(part, counts))
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected != int64(len(part)) {
			return errGuard
		}
	}
	return nil
}

// countSQL is one UPDATE for many coupons. Those with the same number of rows share a branch of the CASE, so that it has
// few (a thousand rows have at most 44 different ones) and a thousand coupons cost no million comparisons. Only numbers
// are written into it.
func countSQL(ids []int64, counts map[int64]int64) string {
	byCount := make(map[int64][]int64)
	for _, id := range ids {
		byCount[counts[id]] = append(byCount[counts[id]], id)
	}
	var add strings.Builder
	if len(byCount) == 1 {
		add.WriteString(strconv.FormatInt(counts[ids[0]], 10))
	} else {
		add.WriteString("CASE")
		for _, n := range slices.Sorted(maps.Keys(byCount)) {
			add.WriteString(" WHEN id IN (" + joinIDs(byCount[n]) + ") THEN " + strconv.FormatInt(n, 10))
		}
		add.WriteString(" END")
	}
	return "UPDATE coupons SET issued_count = issued_count + (" + add.String() + ") WHERE id IN (" + joinIDs(ids) + ")" +
		" AND (total_quantity IS NULL OR issued_count + (" + add.String() + ") <= total_quantity)"
}

func joinIDs(ids []int64) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(id, 10))
	}
	return b.String()
}
