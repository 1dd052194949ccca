package ledger

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// A look that was under way when the coupon's sibling appeared may not have seen it.
func TestRefreshIsNotAnsweredByAnOlderLook(t *testing.T) {
	t.Parallel()
	book := testBook(t)
	ctx := t.Context()
	require.NoError(t, book.CreateVendor(ctx, 1, "vendor"))
	require.NoError(t, book.CreateEvent(ctx, coupon.Event{ID: 2, Name: "event", StartsAt: time.Now(), EndsAt: time.Now()}))
	for _, id := range []int64{3, 4} {
		created := book.CreateCoupons(ctx, []coupon.Coupon{{
			ID: id, VendorID: 1, EventID: 2, Name: strconv.FormatInt(id, 10), Kind: coupon.FirstComeIssue, PerUserLimit: 1,
			Terms: coupon.Terms{State: coupon.StateOpen, OpensAt: time.Now(), ClosesAt: time.Now().Add(time.Hour)},
		}})
		require.NoError(t, created[0].Err)
	}
	refs := NewRefs(book, 10)
	old := sight{ref: coupon.Ref{CouponID: 3, Siblings: []int64{3}}, began: time.Now()}
	finish := make(chan struct{})
	underWay := refs.looks.DoChan("3", func() (any, error) {
		<-finish
		return old, nil
	})
	type answer struct {
		ref coupon.Ref
		err error
	}
	refreshed := make(chan answer, 1)
	go func() {
		ref, err := refs.Refresh(ctx, 3)
		refreshed <- answer{ref, err}
	}()
	select {
	case <-refreshed:
		t.Fatal("it did not join the look that is under way, so this test shows nothing")
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	<-underWay
	got := <-refreshed
	require.NoError(t, got.err)
	require.Equal(t, []int64{3, 4}, got.ref.Siblings)
}
