package gatetest

import (
	"fmt"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// eventTests: at most one first-come-issue coupon of an event for a user, in the same step as the admission (A3).
func eventTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"one coupon of the event for a user":                 onePerEvent,
		"the event's limit comes before the cap":             eventBeforeCap,
		"a coupon for use is no member":                      forUseIsFree,
		"a crowd on all coupons at once":                     eventCrowd,
		"a rebuild brings the members back":                  membersRebuilt,
		"an event's coupon needs its siblings to be named":   siblingsNeeded,
		"an event of a thousand coupons":                     thousandCoupons,
		"events are apart":                                   eventsApart,
		"two coupons of the event in one call, in one order": eventInOneCall,
	}
}

func onePerEvent(f *fixture) {
	made := f.event(2, 5)
	a, b := made[0], made[1]
	f.publish(made...)
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.Pending}, verdicts(f.admit(a.Ref, "u", "u")))
	require.Equal(f, []coupon.Verdict{coupon.EventLimit, coupon.Admitted}, verdicts(f.admit(b.Ref, "u", "v")))
	require.Equal(f, []coupon.Verdict{coupon.EventLimit, coupon.Pending}, verdicts(f.admit(a.Ref, "v", "u")))
	require.EqualValues(f, 1, f.view(a.Ref).Taken)
	require.EqualValues(f, 1, f.view(b.Ref).Taken)
	for _, c := range made {
		require.NoError(f, f.sound(c.Ref))
	}
}

func eventBeforeCap(f *fixture) {
	made := f.event(2, 1)
	a, b := made[0], made[1]
	f.publish(made...)
	f.admit(a.Ref, "u")
	f.admit(b.Ref, "v")
	require.Equal(f, []coupon.Verdict{coupon.EventLimit, coupon.SoldOut}, verdicts(f.admit(b.Ref, "u", "w")))
	require.NoError(f, f.change(b, 1, false, state(coupon.StatePaused)), "and after what holds for everybody")
	require.Equal(f, []coupon.Verdict{coupon.Paused, coupon.Pending}, verdicts(f.admit(b.Ref, "u", "v")))
}

func forUseIsFree(f *fixture) {
	made := f.event(3, 5)
	a, b, use := made[0], made[1], forUse(made[2])
	f.publish(a, b, use)
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(use.Ref, "u")))
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(a.Ref, "u")))
	require.Equal(f, []coupon.Verdict{coupon.EventLimit}, verdicts(f.admit(b.Ref, "u")))
	require.Equal(f, []coupon.Verdict{coupon.Pending}, verdicts(f.admit(use.Ref, "u")))
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(use.Ref, "v")))
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(b.Ref, "v")))
	f.LoseOne(a.Tag, "members")
	f.requireUnsound(f.sound(use.Ref), use.Ref, coupon.WhyMembers) // the tag is sound or not as a whole
}

func eventCrowd(f *fixture) {
	const users = 60
	made := f.event(3, 15)
	f.publish(made...)
	var mu sync.Mutex
	has := make(map[string]int)
	var group sync.WaitGroup
	for turn := range 6 {
		group.Go(func() {
			c := made[turn%len(made)]
			for i := range users {
				user := fmt.Sprint("u", (i+turn*11)%users)
				answer := f.Gate.Admit(f.ctx, []admission.Call{{Ref: c.Ref, Asks: asksOf(user)}})[0]
				mu.Lock()
				if answer.Err != nil {
					f.Error(answer.Err)
				} else if answer.Decisions[0].Verdict == coupon.Admitted {
					has[user]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	require.Len(f, has, 45)
	for user, n := range has {
		require.Equal(f, 1, n, user)
	}
	for _, c := range made {
		require.EqualValues(f, 15, f.view(c.Ref).Taken)
	}
}

func membersRebuilt(f *fixture) {
	made := f.event(2, 5)
	a, b := made[0], made[1]
	f.publish(made...)
	m := f.mark(a.Tag, 2)
	require.NoError(f, f.Gate.LoadRows(f.ctx, m, a.Ref, []coupon.Place{f.row("u", 3)}))
	added, err := f.Gate.LoadTail(f.ctx, m, b.Ref, []coupon.Place{f.row("u", 1), f.row("v", 2)})
	require.NoError(f, err)
	require.EqualValues(f, 1, added, "u has the other coupon of the event")
	o := opening(m, filled(a, f.row("u", 3)), filled(b, f.row("v", 2)))
	require.ErrorIs(f, f.open(o), coupon.ErrOvertaken, "no members were named")
	o.Members = 2
	require.NoError(f, f.open(o))
	require.Equal(f, []coupon.Verdict{coupon.Holder, coupon.EventLimit, coupon.Admitted}, verdicts(f.admit(a.Ref, "u", "v", "w")))
	require.Equal(f, []coupon.Verdict{coupon.EventLimit, coupon.Holder, coupon.EventLimit}, verdicts(f.admit(b.Ref, "u", "v", "w")))
	require.NoError(f, f.sound(b.Ref))
}

func siblingsNeeded(f *fixture) {
	c := f.event(1, 5)[0]
	f.publish(c)
	c.Siblings = nil
	require.Error(f, f.try(c.Ref, asksOf("u")...).Err)
	require.Error(f, f.sound(c.Ref))
	c.Siblings, c.PerUserLimit = []int64{c.CouponID}, 2
	require.Error(f, f.try(c.Ref, ask("u", "k")).Err, "a member has the limit 1")
}

func eventsApart(f *fixture) {
	one, two := f.event(1, 5)[0], f.event(1, 5)[0]
	f.publish(one)
	f.publish(two)
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(one.Ref, "u")))
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(two.Ref, "u")))
}

func eventInOneCall(f *fixture) {
	made := f.event(2, 5)
	f.publish(made...)
	answers := f.Gate.Admit(f.ctx, []admission.Call{
		{Ref: made[0].Ref, Asks: asksOf("u", "v")}, {Ref: made[1].Ref, Asks: asksOf("v", "w")},
	})
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.Admitted}, verdicts(answers[0].Decisions))
	require.Equal(f, []coupon.Verdict{coupon.EventLimit, coupon.Admitted}, verdicts(answers[1].Decisions))
}

func thousandCoupons(f *fixture) {
	made := f.event(coupon.MaxSiblings, 1)
	f.publish(made[:coupon.MaxSiblings-1]...)
	last := made[coupon.MaxSiblings-1]
	require.NoError(f, f.Gate.Join(f.ctx, last, 1))
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.SoldOut}, verdicts(f.admit(last.Ref, "u", "v")))
	require.Equal(f, []coupon.Verdict{coupon.EventLimit, coupon.Admitted}, verdicts(f.admit(made[0].Ref, "u", "v")))
	require.Equal(f, []bool{true}, f.confirm(last.Ref, place("u", 1, 1)))
	f.Lose(last.Tag, fmt.Sprint("coupon:", made[500].CouponID))
	f.requireUnsound(f.sound(last.Ref), last.Ref, coupon.WhyCoupons)
}
