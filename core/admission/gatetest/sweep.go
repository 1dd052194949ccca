package gatetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// sweepTests: what is pending for long is found again by whoever looks, one at a time.
func sweepTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"old pending places come with the holder's seq and the gate's epoch": sweepsOld,
		"what is young or confirmed is left alone":                           sweepsNotYoung,
		"the oldest first, at most so many":                                  sweepsOldestFirst,
		"another's lease keeps others away until it runs out":                sweepLease,
		"nothing to sweep takes no lease":                                    sweepNothingNoLease,
		"impossible sweeps are refused":                                      sweepBounds,
	}
}

func (f *fixture) sweep(ref coupon.Ref, s admission.Sweep) []coupon.Place {
	f.Helper()
	places, err := f.Gate.Sweepable(f.ctx, ref, s)
	require.NoError(f, err)
	return places
}

func sweepsOld(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	f.rebuild(3, c, f.row("old", 40))
	got := f.admit(c.Ref, "a", "b")
	f.confirm(c.Ref, place("a", 41, 3))
	want := coupon.Place{CouponID: c.CouponID, UserID: "b", Nth: 1, Seq: 42, Epoch: 3, AcceptedAt: got[1].AcceptedAt}
	for range 2 { // safe to run twice
		require.Equal(f, []coupon.Place{want}, f.sweep(c.Ref, admission.Sweep{Limit: 10, Owner: "s", Lease: time.Minute}))
	}
	require.Equal(f, []bool{true}, f.confirm(c.Ref, want))
	require.Empty(f, f.sweep(c.Ref, admission.Sweep{Limit: 10, Owner: "s", Lease: time.Minute}))
}

func sweepsNotYoung(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	f.admit(c.Ref, "a")
	sweep := admission.Sweep{Age: 2 * wait, Limit: 10, Owner: "s", Lease: time.Minute}
	if f.SetTime != nil {
		start := f.Now()
		f.SetTime(start.Add(2*wait - time.Microsecond))
		require.Empty(f, f.sweep(c.Ref, sweep))
		f.SetTime(start)
	}
	require.Empty(f, f.sweep(c.Ref, admission.Sweep{Age: time.Hour, Limit: 10, Owner: "s", Lease: time.Minute}))
	f.advance(2 * wait)
	require.Len(f, f.sweep(c.Ref, sweep), 1)
}

func sweepsOldestFirst(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	for i := range 5 {
		f.admit(c.Ref, fmt.Sprint("u", 9-i))
		f.advance(time.Millisecond)
	}
	places := f.sweep(c.Ref, admission.Sweep{Limit: 3, Owner: "s", Lease: time.Minute})
	require.Len(f, places, 3)
	for i, p := range places {
		require.EqualValues(f, i+1, p.Seq)
	}
}

func sweepLease(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	f.admit(c.Ref, "a")
	sweep := func(owner string) []coupon.Place {
		return f.sweep(c.Ref, admission.Sweep{Limit: 3, Owner: owner, Lease: 3 * wait})
	}
	require.Len(f, sweep("one"), 1)
	require.Empty(f, sweep("two"))
	f.advance(2 * wait)
	require.Len(f, sweep("one"), 1, "the owner renews its lease")
	f.advance(2 * wait)
	require.Empty(f, sweep("two"))
	f.advance(2 * wait)
	require.Len(f, sweep("two"), 1)
	require.Empty(f, sweep("one"))
	other := f.lone(0)
	f.publish(other)
	f.admit(other.Ref, "a")
	require.Len(f, f.sweep(other.Ref, admission.Sweep{Limit: 3, Owner: "one", Lease: wait}), 1, "a lease is a coupon's")
}

func sweepNothingNoLease(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	require.Empty(f, f.sweep(c.Ref, admission.Sweep{Limit: 3, Owner: "one", Lease: time.Minute}))
	f.admit(c.Ref, "a")
	require.Empty(f, f.sweep(c.Ref, admission.Sweep{Age: time.Hour, Limit: 3, Owner: "one", Lease: time.Minute}))
	require.Len(f, f.sweep(c.Ref, admission.Sweep{Limit: 3, Owner: "two", Lease: time.Minute}), 1)
}

func sweepBounds(f *fixture) {
	c := f.lone(0)
	f.publish(c)
	for _, s := range []admission.Sweep{
		{Limit: 0, Owner: "s", Lease: time.Minute}, {Limit: admission.MaxBatch + 1, Owner: "s", Lease: time.Minute},
		{Limit: 1, Lease: time.Minute}, {Limit: 1, Owner: "s"},
	} {
		_, err := f.Gate.Sweepable(f.ctx, c.Ref, s)
		require.Error(f, err)
	}
}
