package gatetest

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// joinTests: a new coupon joins the open gate of its event.
func joinTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"a new coupon sells at once":                       joinSells,
		"only under the gate's own epoch":                  joinEpoch,
		"twice is once, and changes nothing":               joinReplay,
		"not into a gate that is not sound":                joinUnsound,
		"a coupon that was lost is not made anew":          joinLost,
		"a coupon that a rebuild brought is there already": joinRebuilt,
		"a coupon of no event has nothing to join":         joinNothing,
	}
}

func joinSells(f *fixture) {
	made := f.event(3, 1)
	f.publish(made[:2]...)
	f.admit(made[0].Ref, "a")
	before := f.view(made[0].Ref)
	late := made[2]
	late.Revision = 4
	require.NoError(f, f.Gate.Join(f.ctx, late, 1))
	require.NoError(f, f.sound(late.Ref))
	require.Equal(f, []coupon.Verdict{coupon.EventLimit, coupon.Admitted, coupon.SoldOut}, verdicts(f.admit(late.Ref, "a", "b", "c")))
	require.Equal(f, []coupon.Verdict{coupon.EventLimit, coupon.Admitted}, verdicts(f.admit(made[1].Ref, "b", "c")))
	require.Equal(f, before.Epoch, f.view(late.Ref).Epoch)
	_, err := f.Gate.Change(f.ctx, coupon.TermsChange{Ref: late.Ref, To: late.Terms, Revision: 3, Wait: wait})
	require.ErrorIs(f, err, coupon.ErrSuperseded)
	// Who does not know of it yet is told to look again.
	stale := made[0].Ref
	stale.Siblings = slices.DeleteFunc(slices.Clone(stale.Siblings), func(id int64) bool { return id == late.CouponID })
	f.requireUnsound(f.sound(stale), stale, coupon.WhyCoupons)
}

func joinEpoch(f *fixture) {
	made := f.event(2, 5)
	f.publish(made[0])
	f.rebuild(3, made[0])
	for _, epoch := range []int64{1, 2, 4} {
		require.ErrorIs(f, f.Gate.Join(f.ctx, made[1], epoch), coupon.ErrOvertaken)
		require.NoError(f, f.sound(made[0].Ref))
		f.requireUnsound(f.sound(made[1].Ref), made[1].Ref, coupon.WhyCoupon)
	}
	require.NoError(f, f.Gate.Join(f.ctx, made[1], 3))
}

func joinReplay(f *fixture) {
	made := f.event(2, 5)
	f.publish(made[0])
	require.NoError(f, f.Gate.Join(f.ctx, made[1], 1))
	f.admit(made[1].Ref, "a")
	again := made[1]
	again.Total = count(1)
	require.NoError(f, f.Gate.Join(f.ctx, again, 1))
	require.NoError(f, f.Gate.Join(f.ctx, again, 9))
	require.NoError(f, f.sound(made[0].Ref))
	require.EqualValues(f, 5, *f.view(made[1].Ref).Total)
	require.Equal(f, []coupon.Verdict{coupon.Pending, coupon.Admitted}, verdicts(f.admit(made[1].Ref, "a", "b")))
}

func joinUnsound(f *fixture) {
	for why, breaking := range map[coupon.UnsoundWhy]func(tag string){
		coupon.WhyNoGate: f.Flush, coupon.WhyForeign: f.Failover,
		coupon.WhyMarked:  func(tag string) { f.mark(tag, 2) },
		coupon.WhyMembers: func(tag string) { f.LoseOne(tag, "members") },
	} {
		made := f.event(2, 5)
		f.publish(made[0])
		f.admit(made[0].Ref, "a")
		breaking(made[0].Tag)
		f.requireUnsound(f.Gate.Join(f.ctx, made[1], 1), made[1].Ref, why)
	}
}

// A lost hash with places in it must not come back empty.
func joinLost(f *fixture) {
	made := f.event(2, 1)
	f.publish(made[0])
	require.NoError(f, f.Gate.Join(f.ctx, made[1], 1))
	f.admit(made[1].Ref, "a")
	f.Lose(made[1].Tag, fmt.Sprint("coupon:", made[1].CouponID))
	f.requireUnsound(f.Gate.Join(f.ctx, made[1], 1), made[1].Ref, coupon.WhyCoupons)
	f.requireUnsound(f.try(made[1].Ref, asksOf("b")...).Err, made[1].Ref, coupon.WhyCoupon)
}

func joinRebuilt(f *fixture) {
	made := f.event(2, 5)
	f.publish(made[0])
	m := f.mark(made[0].Tag, 2)
	require.NoError(f, f.open(opening(m, made...)))
	require.NoError(f, f.Gate.Join(f.ctx, made[1], 1), "of epoch 1, and the gate of epoch 2 has read it")
	require.NoError(f, f.sound(made[0].Ref))
}

func joinNothing(f *fixture) {
	c := f.lone(1)
	f.publish(c)
	require.Error(f, f.Gate.Join(f.ctx, c, 1))
}
