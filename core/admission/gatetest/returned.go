package gatetest

import (
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// returnedTests: a place that was given back stays as a tombstone. Its number is not given again, its user is told.
func returnedTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"the user is told, the place is free":  returnedLone,
		"the user stays a member of the event": returnedMember,
		"of several places one is given back":  returnedNth,
		"a place given back is not confirmed":  returnedConfirm,
	}
}

func revoked(p coupon.Place) coupon.Place {
	p.Revoked = true
	return p
}

func returnedLone(f *fixture) {
	c := f.lone(2)
	f.publish(c)
	f.rebuild(2, c, f.row("a", 1), revoked(f.row("b", 2)))
	require.NoError(f, f.sound(c.Ref))
	require.EqualValues(f, 1, f.view(c.Ref).Taken)
	got := f.admit(c.Ref, "b", "c", "d", "b", "a")
	require.Equal(f, []coupon.Verdict{coupon.Revoked, coupon.Admitted, coupon.SoldOut, coupon.Revoked, coupon.Holder}, verdicts(got))
	require.EqualValues(f, 2, got[0].Seq)
	require.Equal(f, 1, got[0].Nth)
	require.EqualValues(f, 3, got[1].Seq)
	require.NoError(f, f.sound(c.Ref))
	p, verdict, err := f.Gate.Holder(f.ctx, c.Ref, "b", 0)
	require.NoError(f, err)
	require.Equal(f, coupon.Revoked, verdict)
	require.True(f, p.Revoked)
	require.EqualValues(f, 2, p.Seq)
	// What is taken decides about a smaller cap, not who ever was there.
	one := c.Terms
	one.Total = count(1)
	_, err = f.Gate.Change(f.ctx, coupon.TermsChange{Ref: c.Ref, To: one, Revision: 1, Wait: wait})
	require.ErrorIs(f, err, coupon.ErrBelowIssued)
	f.LoseOne(c.Tag, "holders:"+c.Tag[1:])
	f.requireUnsound(f.sound(c.Ref), c.Ref, coupon.WhyHolders)
}

func returnedMember(f *fixture) {
	made := f.event(2, 5)
	a, b := made[0], made[1]
	f.publish(made...)
	m := f.mark(a.Tag, 2)
	row := revoked(f.row("u", 1))
	require.NoError(f, f.Gate.LoadRows(f.ctx, m, a.Ref, []coupon.Place{row}))
	added, err := f.Gate.LoadTail(f.ctx, m, a.Ref, []coupon.Place{f.row("u", 1)})
	require.NoError(f, err)
	require.Zero(f, added)
	o := opening(m, filled(a, row), b)
	o.Members = 1
	require.NoError(f, f.open(o))
	require.Equal(f, []coupon.Verdict{coupon.Revoked}, verdicts(f.admit(a.Ref, "u")))
	require.Equal(f, []coupon.Verdict{coupon.EventLimit}, verdicts(f.admit(b.Ref, "u")))
	require.EqualValues(f, 0, f.view(a.Ref).Taken)
}

func returnedNth(f *fixture) {
	c := f.limited(5, 2)
	f.publish(c)
	first := revoked(f.row("u", 1))
	first.Key = "k1"
	f.rebuild(2, c, first)
	got := f.admitAsks(c.Ref, ask("u", "k1"), ask("u", "k2"), ask("u", "k3"))
	require.Equal(f, []coupon.Verdict{coupon.Revoked, coupon.Admitted, coupon.UserLimit}, verdicts(got))
	require.Equal(f, []int{1, 2}, []int{got[0].Nth, got[1].Nth})
	p, verdict, err := f.Gate.Holder(f.ctx, c.Ref, "u", 0)
	require.NoError(f, err)
	require.Equal(f, coupon.Pending, verdict)
	require.Equal(f, 2, p.Nth)
	_, verdict, err = f.Gate.Holder(f.ctx, c.Ref, "u", 1)
	require.NoError(f, err)
	require.Equal(f, coupon.Revoked, verdict)
}

// "Stands" would become a 202 for a place that is not the user's any more.
func returnedConfirm(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.rebuild(2, c, revoked(f.row("u", 1)))
	require.Equal(f, []bool{false}, f.confirm(c.Ref, place("u", 1, 2)))
	require.NoError(f, f.sound(c.Ref))
	require.Empty(f, f.sweep(c.Ref, admission.Sweep{Limit: 5, Owner: "s", Lease: wait}))
}
