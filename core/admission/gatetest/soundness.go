package gatetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// soundnessTests: a gate that lost anything, or is not of this reign of this server, decides nothing for anybody.
func soundnessTests() map[string]func(*fixture) {
	tests := map[string]func(*fixture){
		"stale siblings are told apart from a lost coupon": staleSiblings,
		"a sibling that has not joined yet does not count": futureSibling,
		"one unsound coupon does not hurt its neighbours":  unsoundNeighbour,
		"another limit than the gate's is a broken hash":   otherLimit,
	}
	for name, fault := range map[string]struct {
		why      coupon.UnsoundWhy
		event    bool
		breaking func(f *fixture, ref coupon.Ref)
	}{
		"everything is gone": {coupon.WhyNoGate, false, func(f *fixture, ref coupon.Ref) { f.Flush(ref.Tag) }},
		"the gate is gone":   {coupon.WhyNoGate, false, func(f *fixture, ref coupon.Ref) { f.Lose(ref.Tag, "gate") }},
		"a rebuild is under way": {coupon.WhyMarked, false, func(f *fixture, ref coupon.Ref) {
			f.mark(ref.Tag, 2)
		}},
		"the server is another one": {coupon.WhyForeign, false, func(f *fixture, ref coupon.Ref) { f.Restart(ref.Tag) }},
		"failover and back":         {coupon.WhyForeign, false, func(f *fixture, ref coupon.Ref) { f.Failover(ref.Tag) }},
		"the coupon's hash is gone": {coupon.WhyCoupon, false, losing("coupon")},
		"the holders are gone":      {coupon.WhyHolders, false, losing("holders")},
		"one holder is gone": {coupon.WhyHolders, false, func(f *fixture, ref coupon.Ref) {
			f.LoseOne(ref.Tag, fmt.Sprint("holders:", ref.CouponID))
		}},
		"the pending entries are gone": {coupon.WhyPending, false, losing("pending")},
		"one pending entry is gone": {coupon.WhyPending, false, func(f *fixture, ref coupon.Ref) {
			f.LoseOne(ref.Tag, fmt.Sprint("pending:", ref.CouponID))
		}},
		"the members are gone": {coupon.WhyMembers, true, func(f *fixture, ref coupon.Ref) { f.Lose(ref.Tag, "members") }},
		"one member is gone":   {coupon.WhyMembers, true, func(f *fixture, ref coupon.Ref) { f.LoseOne(ref.Tag, "members") }},
		"another coupon of the event is gone": {coupon.WhyCoupons, true, func(f *fixture, ref coupon.Ref) {
			f.Lose(ref.Tag, fmt.Sprint("coupon:", ref.Siblings[1]))
		}},
	} {
		tests[name] = func(f *fixture) {
			c := f.lone(5)
			others := []coupon.OpeningCoupon{}
			if fault.event {
				made := f.event(2, 5)
				c, others = made[0], made[1:]
			}
			f.publish(append([]coupon.OpeningCoupon{c}, others...)...)
			f.admit(c.Ref, "winner", "waiting", "another")
			require.Equal(f, []bool{true}, f.confirm(c.Ref, place("winner", 1, 1)))
			fault.breaking(f, c.Ref)
			f.decidesNothing(c, fault.why)
		}
	}
	return tests
}

func losing(kind string) func(*fixture, coupon.Ref) {
	return func(f *fixture, ref coupon.Ref) { f.Lose(ref.Tag, fmt.Sprint(kind, ":", ref.CouponID)) }
}

// decidesNothing asks a broken gate everything, for holders too.
func (f *fixture) decidesNothing(c coupon.OpeningCoupon, why coupon.UnsoundWhy) {
	f.Helper()
	for _, user := range []string{"winner", "waiting", "new"} {
		answer := f.try(c.Ref, admission.Ask{UserID: user})
		f.requireUnsound(answer.Err, c.Ref, why)
		require.Empty(f, answer.Decisions)
		_, verdict, err := f.Gate.Holder(f.ctx, c.Ref, user, 0)
		f.requireUnsound(err, c.Ref, why)
		require.Zero(f, verdict)
	}
	confirmed := f.Gate.Confirm(f.ctx, []admission.ConfirmCall{{Ref: c.Ref, Places: []coupon.Place{place("waiting", 2, 1)}}})
	f.requireUnsound(confirmed[0].Err, c.Ref, why)
	require.Empty(f, confirmed[0].Stands)
	_, err := f.Gate.Sweepable(f.ctx, c.Ref, admission.Sweep{Limit: 1, Owner: "s", Lease: time.Second})
	f.requireUnsound(err, c.Ref, why)
	f.requireUnsound(f.Gate.Views(f.ctx, []coupon.Ref{c.Ref})[0].Err, c.Ref, why)
	f.requireUnsound(f.sound(c.Ref), c.Ref, why)
	for _, widen := range []bool{false, true} {
		_, err = f.Gate.Change(f.ctx, coupon.TermsChange{Ref: c.Ref, To: c.Terms, Revision: 9, Widen: widen, Epoch: 1})
		f.requireUnsound(err, c.Ref, why)
	}
}

func staleSiblings(f *fixture) {
	made := f.event(3, 5)
	f.publish(made...)
	stale := made[0].Ref
	stale.Siblings = stale.Siblings[:2]
	f.requireUnsound(f.try(stale, admission.Ask{UserID: "u"}).Err, stale, coupon.WhyCoupons)
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(made[0].Ref, "u")))
}

func futureSibling(f *fixture) {
	made := f.event(3, 5)
	f.publish(made[:2]...)
	require.NoError(f, f.sound(made[0].Ref))
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(made[0].Ref, "u")))
	f.requireUnsound(f.sound(made[2].Ref), made[2].Ref, coupon.WhyCoupon)
}

func unsoundNeighbour(f *fixture) {
	good, bad, last := f.lone(5), f.lone(5), f.lone(5)
	for _, c := range []coupon.OpeningCoupon{good, bad, last} {
		f.publish(c)
	}
	f.Lose(bad.Tag, "gate")
	answers := f.Gate.Admit(f.ctx, []admission.Call{
		{Ref: good.Ref, Asks: asksOf("a", "b")}, {Ref: bad.Ref, Asks: asksOf("a")}, {Ref: last.Ref, Asks: asksOf("c")},
	})
	require.NoError(f, answers[0].Err)
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.Admitted}, verdicts(answers[0].Decisions))
	f.requireUnsound(answers[1].Err, bad.Ref, coupon.WhyNoGate)
	require.NoError(f, answers[2].Err)
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(answers[2].Decisions))

	stands := f.Gate.Confirm(f.ctx, []admission.ConfirmCall{
		{Ref: bad.Ref, Places: []coupon.Place{place("a", 1, 1)}}, {Ref: good.Ref, Places: []coupon.Place{place("a", 1, 1)}},
	})
	f.requireUnsound(stands[0].Err, bad.Ref, coupon.WhyNoGate)
	require.Equal(f, []bool{true}, stands[1].Stands)

	errs := f.Gate.Sound(f.ctx, []coupon.Ref{good.Ref, bad.Ref, last.Ref})
	require.NoError(f, errs[0])
	f.requireUnsound(errs[1], bad.Ref, coupon.WhyNoGate)
	require.NoError(f, errs[2])
}

func otherLimit(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	c.PerUserLimit = 2
	f.requireUnsound(f.try(c.Ref, admission.Ask{UserID: "u", Key: "k"}).Err, c.Ref, coupon.WhyCoupon)
}
