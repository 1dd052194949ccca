package gatetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

func readerTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"a view tells terms, counts and the clock": viewTells,
		"many views share a call":                  viewMany,
		"a user's place":                           holderTells,
		"the latest of several places":             holderLatest,
		"looking changes nothing":                  lookingIsFree,
		"the names of all holders":                 namesOfHolders,
		"a name for several places":                namesOnce,
		"the names of an event's members":          namesOfMembers,
		"no names of a gate that is not sound":     noNames,
	}
}

func viewTells(f *fixture) {
	c := f.lone(7)
	c.State = coupon.StatePaused
	f.publish(c)
	view := f.view(c.Ref)
	require.WithinDuration(f, f.Now(), view.Now, time.Second)
	require.True(f, c.Terms.OpensAt.Truncate(time.Microsecond).Equal(view.OpensAt))
	require.True(f, c.Terms.ClosesAt.Truncate(time.Microsecond).Equal(view.ClosesAt))
	view.OpensAt, view.ClosesAt, view.Now = time.Time{}, time.Time{}, time.Time{}
	require.Equal(f, coupon.View{
		Terms: coupon.Terms{Total: count(7), State: coupon.StatePaused}, Epoch: 1, Generation: 1,
	}, view)
}

func viewMany(f *fixture) {
	var refs []coupon.Ref
	for i := range 40 {
		c := f.lone(int64(i + 1))
		if i%10 != 9 {
			f.publish(c)
		}
		refs = append(refs, c.Ref)
	}
	for i, answer := range f.Gate.Views(f.ctx, refs) {
		if i%10 == 9 {
			f.requireUnsound(answer.Err, refs[i], coupon.WhyNoGate)
			require.Zero(f, answer.View)
			continue
		}
		require.NoError(f, answer.Err)
		require.EqualValues(f, i+1, *answer.View.Total)
	}
}

func holderTells(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.rebuild(4, c, f.row("x", 9))
	got := f.admit(c.Ref, "a", "b")
	f.confirm(c.Ref, place("a", 10, 4))
	for i, verdict := range []coupon.Verdict{coupon.Holder, coupon.Pending} {
		user := []string{"a", "b"}[i]
		for nth := range 2 {
			p, its, err := f.Gate.Holder(f.ctx, c.Ref, user, nth)
			require.NoError(f, err)
			require.Equal(f, verdict, its)
			require.Equal(f, coupon.Place{
				CouponID: c.CouponID, UserID: user, Nth: 1, Seq: int64(10 + i), Epoch: 4, AcceptedAt: got[i].AcceptedAt,
			}, p)
		}
	}
	for _, none := range []struct {
		user string
		nth  int
	}{{"c", 0}, {"A", 0}, {"a", 2}, {"a", -1}, {"", 0}, {"a b", 0}} {
		p, verdict, err := f.Gate.Holder(f.ctx, c.Ref, none.user, none.nth)
		require.NoError(f, err)
		require.Zero(f, verdict)
		require.Zero(f, p)
	}
}

func holderLatest(f *fixture) {
	c := f.limited(9, 3)
	f.publish(c)
	third := f.row("u", 5)
	third.Nth, third.Key = 3, "k3"
	f.rebuild(2, c, third)
	latest := func() (coupon.Place, coupon.Verdict) {
		p, verdict, err := f.Gate.Holder(f.ctx, c.Ref, "u", 0)
		require.NoError(f, err)
		return p, verdict
	}
	p, verdict := latest()
	require.Equal(f, coupon.Holder, verdict)
	require.Equal(f, 3, p.Nth)
	f.admitAsks(c.Ref, ask("u", "k1"))
	p, verdict = latest()
	require.Equal(f, coupon.Pending, verdict)
	require.Equal(f, 1, p.Nth, "the greatest number is the latest, not the greatest nth")
	require.Equal(f, "k1", p.Key)
	_, verdict, err := f.Gate.Holder(f.ctx, c.Ref, "u", 2)
	require.NoError(f, err)
	require.Zero(f, verdict)
}

func lookingIsFree(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.admit(c.Ref, "a")
	before := f.view(c.Ref)
	for i := range 3 {
		_, _, err := f.Gate.Holder(f.ctx, c.Ref, fmt.Sprint("u", i), 0)
		require.NoError(f, err)
		require.NoError(f, f.sound(c.Ref))
	}
	after := f.view(c.Ref)
	before.Now, after.Now = time.Time{}, time.Time{}
	require.Equal(f, before, after)
}
