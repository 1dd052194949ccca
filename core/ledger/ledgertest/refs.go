package ledgertest

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

var refsTests = map[string]func(*testing.T, desk){
	"a reference says what never changes":             refOf,
	"a coupon that is not there is not found":         refUnknown,
	"a new sibling shows after a refresh":             refRefresh,
	"a coupon shows a second after its publication":   refPublishedLate,
	"the live coupons are listed in pages":            liveRefs,
	"one who leaves does not spoil it for the others": refLeaver,
}

func refOf(t *testing.T, b desk) {
	vendor, event := b.vendor(t), b.event(t)
	member, free := draft(vendor, ofEvent(event), validFor(30)), draft(vendor, ofEvent(event), freeUse(), perUser(5))
	alone := draft(vendor, perUser(3))
	b.create(t, member, free, alone)
	siblings := []int64{min(member.ID, free.ID), max(member.ID, free.ID)}
	refs := ledger.NewRefs(b.book, 10)
	for _, want := range []coupon.Ref{
		{Tag: member.Tag(), CouponID: member.ID, EventID: event, PerUserLimit: 1, Member: true, ValidForDays: 30, Siblings: siblings},
		{Tag: member.Tag(), CouponID: free.ID, EventID: event, PerUserLimit: 5, Siblings: siblings},
		{Tag: alone.Tag(), CouponID: alone.ID, PerUserLimit: 3, Siblings: []int64{alone.ID}},
	} {
		for range 2 { // from the database, then from memory
			got, err := refs.Ref(t.Context(), want.CouponID)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

func refUnknown(t *testing.T, b desk) {
	refs := ledger.NewRefs(b.book, 10)
	id := newID()
	for range 3 {
		_, err := refs.Ref(t.Context(), id)
		require.ErrorIs(t, err, coupon.ErrNotFound)
	}
	_, err := refs.Refresh(t.Context(), id)
	require.ErrorIs(t, err, coupon.ErrNotFound)
}

func refRefresh(t *testing.T, b desk) {
	vendor, event := b.vendor(t), b.event(t)
	first := draft(vendor, ofEvent(event))
	b.create(t, first)
	refs := ledger.NewRefs(b.book, 10)
	before, err := refs.Ref(t.Context(), first.ID)
	require.NoError(t, err)
	require.Equal(t, []int64{first.ID}, before.Siblings)

	second := draft(vendor, ofEvent(event))
	b.create(t, second)
	both := []int64{min(first.ID, second.ID), max(first.ID, second.ID)}
	var all sync.WaitGroup
	for range 20 { // a crowd that finds its siblings old asks once, and nobody hears of the old ones again
		all.Go(func() {
			now, refreshErr := refs.Refresh(t.Context(), second.ID)
			if refreshErr != nil || len(now.Siblings) != 2 {
				t.Errorf("refreshed to %v, %v", now, refreshErr)
			}
		})
	}
	all.Wait()
	remembered, err := refs.Ref(t.Context(), first.ID)
	require.NoError(t, err)
	require.Equal(t, both, remembered.Siblings, "the refresh of one coupon tells its siblings too")
}

func refPublishedLate(t *testing.T, b desk) {
	refs := ledger.NewRefs(b.book, 10)
	c := draft(b.vendor(t))
	_, err := refs.Ref(t.Context(), c.ID)
	require.ErrorIs(t, err, coupon.ErrNotFound)
	b.create(t, c)
	_, err = refs.Refresh(t.Context(), c.ID)
	require.NoError(t, err, "a refresh sees it at once")
	_, err = refs.Ref(t.Context(), c.ID)
	require.NoError(t, err, "and ends the memory of the wrong number")

	later := draft(b.vendor(t))
	_, err = refs.Ref(t.Context(), later.ID)
	require.ErrorIs(t, err, coupon.ErrNotFound)
	b.create(t, later)
	require.Eventually(t, func() bool {
		_, err := refs.Ref(t.Context(), later.ID)
		return err == nil
	}, patience, tick)
}

func liveRefs(t *testing.T, b desk) {
	own := b.own(t)
	vendor, event := own.vendor(t), own.event(t)
	retired := draft(vendor)
	coupons := []coupon.Coupon{
		draft(vendor), draft(vendor, ofEvent(event)), retired, draft(vendor, ofEvent(event), freeUse()), draft(vendor),
	}
	own.create(t, coupons...)
	own.exec(t, "UPDATE gates SET state = 'retired' WHERE tag = ?", retired.Tag())
	refs := ledger.NewRefs(own.book, 10)
	var seen []int64
	for after := int64(0); ; {
		page, err := refs.LiveRefs(t.Context(), after, 3)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, ref := range page {
			seen = append(seen, ref.CouponID)
			if ref.EventID != 0 {
				require.Len(t, ref.Siblings, 2)
				require.Contains(t, ref.Siblings, ref.CouponID)
			} else {
				require.Equal(t, []int64{ref.CouponID}, ref.Siblings)
			}
		}
		after = page[len(page)-1].CouponID
	}
	require.Len(t, seen, 4)
	require.IsIncreasing(t, seen)
	require.NotContains(t, seen, retired.ID)
}

func refLeaver(t *testing.T, b desk) {
	c := b.publish(t)
	refs := ledger.NewRefs(b.book, 10)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := refs.Ref(gone, c.ID)
	if err != nil { // the look may have been faster
		require.ErrorIs(t, err, context.Canceled)
	}
	_, err = refs.Ref(t.Context(), c.ID)
	require.NoError(t, err)
}
