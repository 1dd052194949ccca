package ledgertest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var eventTests = map[string]func(*testing.T, desk){
	"a second coupon of the event is a failed event": secondCoupon,
	"in one batch, too":                      secondCouponInBatch,
	"the same coupon again is a duplicate":   sameCouponOfEvent,
	"first-come-use coupons are not counted": freeCouponOfEvent,
	"the retry knows who has a row":          hasIssue,
}

func secondCoupon(t *testing.T, b desk) {
	event := b.event(t)
	one, two := b.publish(t, ofEvent(event)), b.publish(t, ofEvent(event))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(one, "u", 1))))
	require.NoError(t, w.Write(t.Context(), records(1, place(two, "u", 1), place(two, "v", 2), place(two, "U", 3))))
	require.Equal(t, []string{"1 event_limit"}, b.failed(t, topic))
	b.requireRows(t, one, 1)
	b.requireRows(t, two, 2)
}

func secondCouponInBatch(t *testing.T, b desk) {
	event := b.event(t)
	one, two := b.publish(t, ofEvent(event)), b.publish(t, ofEvent(event))
	w, topic := b.writer(t)
	for range 2 {
		require.NoError(t, w.Write(t.Context(), records(0, place(two, "u", 1), place(one, "u", 1), place(one, "v", 2))))
	}
	require.Equal(t, []string{"1 event_limit"}, b.failed(t, topic))
	b.requireRows(t, one, 1)
	b.requireRows(t, two, 1)
}

func sameCouponOfEvent(t *testing.T, b desk) {
	c := b.publish(t, ofEvent(b.event(t)))
	w, topic := b.writer(t)
	for offset := range int64(3) {
		require.NoError(t, w.Write(t.Context(), records(offset, place(c, "u", 1))))
	}
	require.Empty(t, b.failed(t, topic), "never event_limit")
	b.requireRows(t, c, 1)
}

func freeCouponOfEvent(t *testing.T, b desk) {
	event := b.event(t)
	member, free, other := b.publish(t, ofEvent(event)), b.publish(t, ofEvent(event), freeUse()), b.publish(t, ofEvent(event), freeUse(), perUser(2))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0,
		place(free, "u", 1), place(member, "u", 1), place(other, "u", 1, nth(1), key("a")), place(other, "u", 2, nth(2), key("b")))))
	require.Empty(t, b.failed(t, topic))
	b.requireRows(t, free, 1)
	b.requireRows(t, other, 2)
}

func hasIssue(t *testing.T, b desk) {
	event := b.event(t)
	one, two, free := b.publish(t, ofEvent(event)), b.publish(t, ofEvent(event)), b.publish(t, ofEvent(event), freeUse())
	w, _ := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(one, "u", 1))))
	for _, want := range []struct {
		coupon int64
		user   string
		has    bool
	}{{one.ID, "u", true}, {two.ID, "u", true}, {free.ID, "u", false}, {one.ID, "U", false}, {two.ID, "v", false}} {
		has, err := b.book.HasIssue(t.Context(), want.coupon, want.user)
		require.NoError(t, err)
		require.Equal(t, want.has, has, want)
	}
}
