package gatetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// openTests: a gate opens only under its own mark, on the same server, with exactly what was loaded.
func openTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"not under another mark":                  openOtherMark,
		"not on another server than the mark's":   openElsewhere,
		"not with other counts than were loaded":  openCounts,
		"not before its time":                     openTooEarly,
		"twice is once":                           openReplay,
		"holders are settled, the numbers go on":  openSettles,
		"what was pending or held before is gone": openForgets,
		"a gate that sold out stays sold out":     openSoldOut,
		"the terms are those of the opening":      openTerms,
		"many tags share a call":                  openMany,
		"impossible openings are refused":         openImpossible,
		"an event without coupons opens, too":     openEmptyEvent,
	}
}

func openOtherMark(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	m := f.mark(c.Tag, 2)
	for _, wrong := range []coupon.Mark{
		{Tag: c.Tag, Epoch: 2, Token: ""}, {Tag: c.Tag, Epoch: 2, Token: m.Token + "0"},
		{Tag: c.Tag, Epoch: 1, Token: m.Token}, {Tag: c.Tag, Epoch: 3, Token: m.Token},
	} {
		require.ErrorIs(f, f.open(opening(wrong, c)), coupon.ErrOvertaken)
		f.requireUnsound(f.sound(c.Ref), c.Ref, coupon.WhyMarked)
	}
	f.Lose(c.Tag, "gate")
	require.ErrorIs(f, f.open(opening(m, c)), coupon.ErrOvertaken)
	f.requireUnsound(f.sound(c.Ref), c.Ref, coupon.WhyNoGate)
}

func openElsewhere(f *fixture) {
	for _, elsewhere := range []func(string){f.Restart, f.Failover} {
		c := f.lone(5)
		f.publish(c)
		m := f.mark(c.Tag, 2)
		elsewhere(c.Tag)
		require.ErrorIs(f, f.open(opening(m, c)), coupon.ErrOvertaken)
		f.requireUnsound(f.sound(c.Ref), c.Ref, coupon.WhyMarked)
		f.rebuild(3, c)
		require.NoError(f, f.sound(c.Ref))
	}
}

func openCounts(f *fixture) {
	made := f.event(2, 5)
	a, b := made[0], made[1]
	f.publish(made...)
	m := f.mark(a.Tag, 2)
	require.NoError(f, f.Gate.LoadRows(f.ctx, m, a.Ref, []coupon.Place{f.row("u", 1), f.row("v", 2)}))
	good := opening(m, a, b)
	good.Coupons[0].Holders, good.Coupons[0].LastSeq, good.Members = 2, 2, 2
	for _, wrong := range []struct{ holdersA, holdersB, members int64 }{{1, 0, 2}, {3, 0, 2}, {0, 0, 2}, {2, 1, 2}, {2, 0, 1}, {2, 0, 3}} {
		o := good
		o.Coupons = []coupon.OpeningCoupon{good.Coupons[0], good.Coupons[1]}
		o.Coupons[0].Holders, o.Coupons[1].Holders, o.Coupons[1].LastSeq = wrong.holdersA, wrong.holdersB, 1
		o.Members = wrong.members
		require.ErrorIs(f, f.open(o), coupon.ErrOvertaken, wrong)
		f.requireUnsound(f.sound(a.Ref), a.Ref, coupon.WhyMarked)
	}
	require.NoError(f, f.open(good))
	require.Equal(f, []coupon.Verdict{coupon.Holder, coupon.Holder}, verdicts(f.admit(a.Ref, "u", "v")))
}

func openTooEarly(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	m := f.mark(c.Tag, 2)
	marked := f.Now()
	o := opening(m, c)
	o.Wait = 5 * wait
	require.ErrorIs(f, f.open(o), coupon.ErrTooEarly)
	f.requireUnsound(f.sound(c.Ref), c.Ref, coupon.WhyMarked)
	if f.SetTime != nil {
		f.SetTime(marked.Add(5*wait - time.Microsecond))
		require.ErrorIs(f, f.open(o), coupon.ErrTooEarly)
		f.SetTime(marked.Add(5 * wait))
	} else {
		f.advance(5 * wait)
	}
	require.NoError(f, f.open(o))
	require.NoError(f, f.sound(c.Ref))
}

func openReplay(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	m := f.mark(c.Tag, 2)
	row := f.row("a", 1)
	require.NoError(f, f.Gate.LoadRows(f.ctx, m, c.Ref, []coupon.Place{row}))
	o := opening(m, filled(c, row))
	require.NoError(f, f.open(o))
	f.admit(c.Ref, "b")
	before := f.view(c.Ref)
	require.NoError(f, f.open(o))
	after := f.view(c.Ref)
	before.Now, after.Now = time.Time{}, time.Time{}
	require.Equal(f, before, after)
	require.Equal(f, []coupon.Verdict{coupon.Holder, coupon.Pending}, verdicts(f.admit(c.Ref, "a", "b")))
}

func openSettles(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	row := f.row("a", 3)
	f.rebuild(2, c, row, f.row("b", 11))
	got := f.admit(c.Ref, "a", "b", "c")
	require.Equal(f, []coupon.Verdict{coupon.Holder, coupon.Holder, coupon.Admitted}, verdicts(got))
	require.Equal(f, []int64{3, 11, 12}, []int64{got[0].Seq, got[1].Seq, got[2].Seq})
	require.Equal(f, row.AcceptedAt.UnixMicro(), got[0].AcceptedAt.UnixMicro())
	view := f.view(c.Ref)
	require.EqualValues(f, 3, view.Taken)
	require.EqualValues(f, 1, view.Pending)
	require.EqualValues(f, 2, view.Epoch)
}

func openForgets(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.admit(c.Ref, "a", "b", "c")
	f.rebuild(2, c) // the ledger and the journal know of nobody
	require.NoError(f, f.sound(c.Ref))
	view := f.view(c.Ref)
	require.EqualValues(f, 0, view.Taken)
	require.EqualValues(f, 0, view.Pending)
	got := f.admit(c.Ref, "c")
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(got))
	require.EqualValues(f, 1, got[0].Seq)
	f.rebuild(3, c, f.row("z", 2))
	require.Equal(f, []coupon.Verdict{coupon.Holder, coupon.Admitted}, verdicts(f.admit(c.Ref, "z", "c")))
}

func openSoldOut(f *fixture) {
	c := f.lone(2)
	f.publish(c)
	f.rebuild(2, c, f.row("a", 1), f.row("b", 2))
	require.Equal(f, []coupon.Verdict{coupon.SoldOut, coupon.Holder}, verdicts(f.admit(c.Ref, "c", "a")))
}

func openTerms(f *fixture) {
	c := f.lone(2)
	f.publish(c)
	wider := c.Terms
	wider.Total = count(3)
	_, err := f.Gate.Change(f.ctx, coupon.TermsChange{
		Ref: c.Ref, To: wider, Revision: 1, Widen: true, Wait: time.Minute, Epoch: 1,
	})
	require.NoError(f, err)
	require.True(f, f.view(c.Ref).Changing)
	c.State, c.Total, c.Revision = coupon.StatePaused, nil, 7
	f.rebuild(2, c)
	view := f.view(c.Ref)
	require.Equal(f, coupon.StatePaused, view.State)
	require.Nil(f, view.Total)
	require.False(f, view.Changing, "what waited at the old gate is not the new one's")
	require.Equal(f, c.OpensAt.UnixMicro(), view.OpensAt.UnixMicro())
	require.Equal(f, c.ClosesAt.UnixMicro(), view.ClosesAt.UnixMicro())
	_, err = f.Gate.Change(f.ctx, coupon.TermsChange{Ref: c.Ref, To: wider, Revision: 6, Wait: wait})
	require.ErrorIs(f, err, coupon.ErrSuperseded)
}

func openMany(f *fixture) {
	var marks []coupon.Mark
	var coupons []coupon.OpeningCoupon
	for range 30 {
		c := f.lone(5)
		coupons = append(coupons, c)
		marks = append(marks, coupon.Mark{Tag: c.Tag, Epoch: 1})
		f.Cleanup(func() { f.Flush(c.Tag) })
	}
	var openings []coupon.Opening
	for i, answer := range f.Gate.Mark(f.ctx, marks) {
		require.NoError(f, answer.Err)
		if i == 3 {
			answer.Token = "forged"
		}
		openings = append(openings, opening(answer.Mark, coupons[i]))
	}
	for i, err := range f.Gate.Open(f.ctx, openings) {
		if i == 3 {
			require.ErrorIs(f, err, coupon.ErrOvertaken)
			continue
		}
		require.NoError(f, err)
		require.NoError(f, f.sound(coupons[i].Ref))
	}
}

func openImpossible(f *fixture) {
	c, other := f.lone(5), f.lone(5)
	f.publish(c)
	m := f.mark(c.Tag, 2)
	more, noSeq := c, c
	more.Returned = 1
	noSeq.Holders = 1
	event := opening(m, c)
	event.Event = true
	for _, o := range []coupon.Opening{opening(m, c, other), opening(m, c, c), opening(m, more), opening(m, noSeq), event} {
		require.Error(f, f.open(o))
		f.requireUnsound(f.sound(c.Ref), c.Ref, coupon.WhyMarked)
	}
}

func openEmptyEvent(f *fixture) {
	c := f.event(1, 5)[0]
	f.Cleanup(func() { f.Flush(c.Tag) })
	m := f.mark(c.Tag, 1)
	require.NoError(f, f.open(coupon.Opening{Mark: m, Event: true}))
	f.requireUnsound(f.sound(c.Ref), c.Ref, coupon.WhyCoupon)
	require.NoError(f, f.Gate.Join(f.ctx, c, 1))
	require.NoError(f, f.sound(c.Ref))
}
