package gatetest

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// limitTests: with a limit above 1 an idempotency key names each claim of a user.
func limitTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"the same key is the same place, a new key the next": keysNamePlaces,
		"two keys of one user in one batch":                  keysInOneBatch,
		"the smallest free place is given":                   smallestFree,
		"the user's limit comes before the cap":              limitBeforeCap,
		"a missing key is refused, nothing is decided":       missingKey,
		"with a limit of 1 the key is not looked at":         keyIgnored,
		"keys and users do not run into each other":          wildKeys,
		"a hundred places":                                   hundredPlaces,
		"places are confirmed and swept one by one":          nthConfirmed,
	}
}

func (f *fixture) limited(places int64, limit int) coupon.OpeningCoupon {
	c := f.lone(places)
	c.PerUserLimit = limit
	return c
}

func ask(user, key string) admission.Ask { return admission.Ask{UserID: user, Key: key} }

func keysNamePlaces(f *fixture) {
	c := f.limited(10, 2)
	f.publish(c)
	for range 2 {
		got := f.admitAsks(c.Ref, ask("u", "k1"))
		require.EqualValues(f, 1, got[0].Seq)
		require.Equal(f, 1, got[0].Nth)
	}
	got := f.admitAsks(c.Ref, ask("u", "k2"), ask("v", "k1"), ask("u", "k3"), ask("u", "k1"))
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.Admitted, coupon.UserLimit, coupon.Pending}, verdicts(got))
	require.Equal(f, []int{2, 1, 0, 1}, []int{got[0].Nth, got[1].Nth, got[2].Nth, got[3].Nth})
	require.Equal(f, []int64{2, 3, 0, 1}, []int64{got[0].Seq, got[1].Seq, got[2].Seq, got[3].Seq})
	require.EqualValues(f, 3, f.view(c.Ref).Taken)
}

func keysInOneBatch(f *fixture) {
	c := f.limited(3, 3)
	f.publish(c)
	got := f.admitAsks(c.Ref, ask("u", "a"), ask("u", "b"), ask("u", "a"), ask("u", "c"), ask("u", "d"), ask("v", "a"))
	require.Equal(f, []coupon.Verdict{
		coupon.Admitted, coupon.Admitted, coupon.Pending, coupon.Admitted, coupon.UserLimit, coupon.SoldOut,
	}, verdicts(got))
	require.Equal(f, []int{1, 2, 1, 3}, []int{got[0].Nth, got[1].Nth, got[2].Nth, got[3].Nth})
	require.EqualValues(f, 3, f.view(c.Ref).Taken)
	require.EqualValues(f, 3, f.view(c.Ref).Pending)
}

// After a rebuild a user may hold the second place without the first.
func smallestFree(f *fixture) {
	c := f.limited(10, 3)
	f.publish(c)
	second := f.row("u", 7)
	second.Nth, second.Key = 2, "k2"
	f.rebuild(2, c, second)
	got := f.admitAsks(c.Ref, ask("u", "k2"), ask("u", "k9"), ask("u", "k8"), ask("u", "k7"))
	require.Equal(f, []coupon.Verdict{coupon.Holder, coupon.Admitted, coupon.Admitted, coupon.UserLimit}, verdicts(got))
	require.Equal(f, []int{2, 1, 3}, []int{got[0].Nth, got[1].Nth, got[2].Nth})
	require.Equal(f, []int64{7, 8, 9}, []int64{got[0].Seq, got[1].Seq, got[2].Seq})
}

func limitBeforeCap(f *fixture) {
	c := f.limited(2, 2)
	f.publish(c)
	got := f.admitAsks(c.Ref, ask("u", "a"), ask("u", "b"), ask("u", "c"), ask("v", "a"))
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.Admitted, coupon.UserLimit, coupon.SoldOut}, verdicts(got))
	require.NoError(f, f.change(c, 1, false, state(coupon.StatePaused)), "and after what holds for everybody")
	got = f.admitAsks(c.Ref, ask("u", "c"), ask("u", "a"))
	require.Equal(f, []coupon.Verdict{coupon.Paused, coupon.Pending}, verdicts(got))
}

func missingKey(f *fixture) {
	c := f.limited(2, 2)
	f.publish(c)
	for _, key := range []string{"", " ", "a b", strings.Repeat("k", coupon.MaxKey+1)} {
		answer := f.try(c.Ref, ask("v", "good"), ask("u", key))
		var field *coupon.FieldError
		require.ErrorAs(f, answer.Err, &field, "%q", key)
		require.Equal(f, "Idempotency-Key", field.Field)
	}
	require.EqualValues(f, 0, f.view(c.Ref).Taken)
}

func keyIgnored(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	got := f.admitAsks(c.Ref, ask("u", "a"), ask("u", "b"), ask("u", ""))
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.Pending, coupon.Pending}, verdicts(got))
	p, _, err := f.Gate.Holder(f.ctx, c.Ref, "u", 0)
	require.NoError(f, err)
	require.Empty(f, p.Key)
}

func wildKeys(f *fixture) {
	c := f.limited(0, 5)
	f.publish(c)
	asks := []admission.Ask{
		ask("u", "a:b"), ask("u", "a"), ask("u", ":"), ask("u", "1:2:3"), ask("u", strings.Repeat("k", coupon.MaxKey)),
		ask("u1", "a"), ask("u:1", "a"), ask("1", "1"), ask("11", "1"), ask("x", "x"),
	}
	first, second := f.admitAsks(c.Ref, asks...), f.admitAsks(c.Ref, asks...)
	for i := range asks {
		require.Equal(f, coupon.Admitted, first[i].Verdict)
		require.EqualValues(f, i+1, first[i].Seq)
		require.Equal(f, coupon.Pending, second[i].Verdict)
		require.Equal(f, first[i].Seq, second[i].Seq)
		require.Equal(f, first[i].Nth, second[i].Nth)
		p, verdict, err := f.Gate.Holder(f.ctx, c.Ref, asks[i].UserID, first[i].Nth)
		require.NoError(f, err)
		require.Equal(f, coupon.Pending, verdict)
		require.Equal(f, asks[i].Key, p.Key)
	}
}

func hundredPlaces(f *fixture) {
	c := f.limited(0, coupon.MaxPerUserLimit)
	f.publish(c)
	var asks []admission.Ask
	for i := range coupon.MaxPerUserLimit + 1 {
		asks = append(asks, ask("u", fmt.Sprint("k", i)))
	}
	for i, d := range f.admitAsks(c.Ref, asks...) {
		if i == coupon.MaxPerUserLimit {
			require.Equal(f, coupon.UserLimit, d.Verdict)
			continue
		}
		require.Equal(f, i+1, d.Nth)
	}
	p, _, err := f.Gate.Holder(f.ctx, c.Ref, "u", 0)
	require.NoError(f, err)
	require.Equal(f, coupon.MaxPerUserLimit, p.Nth)
}

func nthConfirmed(f *fixture) {
	c := f.limited(0, 3)
	f.publish(c)
	f.admitAsks(c.Ref, ask("u", "a"), ask("u", "b"), ask("u", "c"))
	nth := func(n int, seq int64) coupon.Place { return coupon.Place{UserID: "u", Nth: n, Seq: seq, Epoch: 1} }
	require.Equal(f, []bool{true, false, false}, f.confirm(c.Ref, nth(2, 2), nth(1, 2), nth(4, 2)))
	got := f.admitAsks(c.Ref, ask("u", "a"), ask("u", "b"), ask("u", "c"))
	require.Equal(f, []coupon.Verdict{coupon.Pending, coupon.Holder, coupon.Pending}, verdicts(got))
	swept, err := f.Gate.Sweepable(f.ctx, c.Ref, admission.Sweep{Limit: 10, Owner: "s", Lease: wait})
	require.NoError(f, err)
	require.Len(f, swept, 2)
	for i, p := range swept {
		require.Equal(f, coupon.Place{
			CouponID: c.CouponID, UserID: "u", Nth: 2*i + 1, Seq: int64(2*i + 1), Epoch: 1, AcceptedAt: got[0].AcceptedAt,
			Key: []string{"a", "c"}[i],
		}, p)
	}
}
