package ledgertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

var readTests = map[string]func(*testing.T, desk){
	"a user's issues come newest first, in pages": issuesOf,
	"the latest of several places":                latestPlace,
	"coupons are listed by id":                    listCoupons,
	"readers do not wait for a writer":            readersDoNotWait,
	"a user's list uses its index":                userIndex,
}

func issuesOf(t *testing.T, b desk) {
	vendor, user := b.vendor(t), fmt.Sprint("u", newID())
	w, _ := b.writer(t)
	var coupons []coupon.Coupon
	for range 7 {
		coupons = append(coupons, draft(vendor, perUser(3)))
	}
	b.create(t, coupons...)
	var places []coupon.Place
	for i, c := range coupons {
		for n := 1; n <= 3; n++ {
			p := place(c, user, int64(n), nth(n), key(fmt.Sprint("k", n)))
			p.AcceptedAt = dayOne.Add(time.Duration(i/2) * time.Microsecond) // many at the same instant
			places = append(places, p)
		}
	}
	places = append(places, place(coupons[0], user+"x", 9, key("k")))
	require.NoError(t, w.Write(t.Context(), records(0, places...)))
	var seen []coupon.Issue
	for after := (ledger.IssueKey{}); ; {
		page, err := b.book.IssuesOf(t.Context(), user, after, 4)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		seen = append(seen, page...)
		last := page[len(page)-1]
		after = ledger.IssueKey{AcceptedAt: last.AcceptedAt, CouponID: last.CouponID, Nth: last.Nth}
	}
	require.Len(t, seen, 21)
	for i := 1; i < len(seen); i++ {
		x, y := seen[i-1], seen[i]
		later := x.AcceptedAt.After(y.AcceptedAt) || x.AcceptedAt.Equal(y.AcceptedAt) &&
			(x.CouponID > y.CouponID || x.CouponID == y.CouponID && x.Nth > y.Nth)
		require.True(t, later, "%v before %v", x.Place, y.Place)
	}
	none, err := b.book.IssuesOf(t.Context(), "U"+user[1:], ledger.IssueKey{}, 4)
	require.NoError(t, err)
	require.Empty(t, none)
}

func latestPlace(t *testing.T, b desk) {
	c := b.publish(t, perUser(20))
	w, _ := b.writer(t)
	for n := 1; n <= 12; n++ {
		require.NoError(t, w.Write(t.Context(), records(int64(n), place(c, "u", int64(n), nth(n), key(fmt.Sprint("k", n))))))
	}
	got, err := b.book.Issue(t.Context(), c.ID, "u", 0)
	require.NoError(t, err)
	require.Equal(t, 12, got.Nth)
	got, err = b.book.Issue(t.Context(), c.ID, "u", 2)
	require.NoError(t, err)
	require.Equal(t, 2, got.Nth)
	_, err = b.book.Issue(t.Context(), c.ID, "u", 13)
	require.ErrorIs(t, err, coupon.ErrNotFound)
}

func listCoupons(t *testing.T, b desk) {
	b = b.own(t)
	vendor := b.vendor(t)
	var want []coupon.Coupon
	for i := range 7 {
		want = append(want, draft(vendor, withID(int64(i*10+1))))
	}
	b.create(t, want...)
	var ids []int64
	for after := int64(0); ; {
		page, err := b.book.Coupons(t.Context(), after, 3)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, c := range page {
			ids = append(ids, c.ID)
		}
		after = page[len(page)-1].ID
	}
	require.Equal(t, []int64{1, 11, 21, 31, 41, 51, 61}, ids)
}

func readersDoNotWait(t *testing.T, b desk) {
	b = b.own(t)
	c := b.publish(t)
	w, _ := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "u", 1))))
	writing := b.begin(t)
	writing.exec(t, "UPDATE coupons SET state = 'closed' WHERE id = ?", c.ID)
	writing.exec(t, "UPDATE issues SET status = 'used' WHERE coupon_id = ?", c.ID)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	got, err := b.book.Coupon(ctx, c.ID)
	require.NoError(t, err)
	require.Equal(t, coupon.StateOpen, got.State, "what is not committed is not seen")
	issue, err := b.book.Issue(ctx, c.ID, "u", 0)
	require.NoError(t, err)
	require.Equal(t, coupon.StatusIssued, issue.Status)
	require.NoError(t, b.book.LoadTags(ctx, []string{c.Tag()}, func([]coupon.Coupon) error { return nil },
		func(coupon.Ref, []coupon.Place) error { return nil }))
	_, err = ledger.NewRefs(b.book, 10).Refresh(ctx, c.ID)
	require.NoError(t, err)
	require.NoError(t, b.book.CheckSchema(ctx))
	writing.commit(t)
	got, err = b.book.Coupon(ctx, c.ID)
	require.NoError(t, err)
	require.Equal(t, coupon.StateClosed, got.State)
}

func userIndex(t *testing.T, b desk) {
	query := `SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'issues'
		AND index_name = 'issues_of_user' AND (column_name, seq_in_index) IN (('user_id', 1), ('accepted_at', 2))`
	if b.file {
		query = "SELECT COUNT(*) FROM pragma_index_info('issues_of_user') WHERE name IN ('user_id', 'accepted_at') AND seqno < 2"
	}
	require.EqualValues(t, 2, b.count(t, query))
}
