package gatetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// changeTests: narrower at once, wider a while later, by revisions that only go up.
func changeTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"a smaller cap holds at once":                               narrowCap,
		"not below what is admitted":                                belowIssued,
		"a greater cap holds later":                                 widenCap,
		"an unlimited cap is the widest":                            unlimitedCap,
		"pause at once, reopen later":                               pauseAndReopen,
		"a narrower window at once, a wider one later":              moveWindow,
		"narrowing while a wider value waits":                       narrowWhileWaiting,
		"widening while a wider value waits":                        widenWhileWaiting,
		"a revision is taken once, an older one never":              revisions,
		"a widening that a newer gate has read is done":             newerGate,
		"each change ends memories":                                 generations,
		"a narrowing brings what an earlier widening never brought": missedWidening,
		"without a wait nothing gets wider":                         noWaitNoWider,
		"an empty window":                                           emptyWindow,
		"a change of one coupon leaves its sibling alone":           siblingUntouched,
	}
}

// change is one revision of a coupon's terms.
func (f *fixture) change(c coupon.OpeningCoupon, revision int64, widen bool, edit func(*coupon.Terms)) error {
	f.Helper()
	to := c.Terms
	edit(&to)
	epoch, err := f.Gate.Change(f.ctx, coupon.TermsChange{
		Ref: c.Ref, To: to, Revision: revision, Widen: widen, Wait: wait, Epoch: 1,
	})
	if err == nil {
		require.EqualValues(f, 1, epoch)
	}
	return err
}

func total(n int64) func(*coupon.Terms) {
	return func(t *coupon.Terms) { t.Total = count(n) }
}

func state(s coupon.State) func(*coupon.Terms) {
	return func(t *coupon.Terms) { t.State = s }
}

func narrowCap(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.admit(c.Ref, "a")
	require.NoError(f, f.change(c, 1, false, total(2)))
	view := f.view(c.Ref)
	require.EqualValues(f, 2, *view.Total)
	require.False(f, view.Changing)
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.SoldOut, coupon.Pending}, verdicts(f.admit(c.Ref, "b", "c", "a")))
}

func belowIssued(f *fixture) {
	c := f.lone(5)
	f.publish(c)
	f.admit(c.Ref, "a", "b", "c")
	before := f.view(c.Ref)
	require.ErrorIs(f, f.change(c, 1, false, total(2)), coupon.ErrBelowIssued)
	after := f.view(c.Ref)
	require.EqualValues(f, 5, *after.Total)
	require.Equal(f, before.Generation, after.Generation)
	require.NoError(f, f.change(c, 1, false, total(3)), "the refused revision was not taken")
	require.Equal(f, []coupon.Verdict{coupon.SoldOut}, verdicts(f.admit(c.Ref, "d")))
}

func widenCap(f *fixture) {
	c := f.lone(1)
	f.publish(c)
	f.admit(c.Ref, "a")
	require.NoError(f, f.change(c, 1, true, total(2)))
	if f.SetTime != nil {
		start := f.Now()
		require.Equal(f, []coupon.Verdict{coupon.SoldOut}, verdicts(f.admit(c.Ref, "b")))
		f.SetTime(start.Add(wait - time.Microsecond))
		require.Equal(f, []coupon.Verdict{coupon.SoldOut}, verdicts(f.admit(c.Ref, "b")))
		require.True(f, f.view(c.Ref).Changing)
		require.EqualValues(f, 1, *f.view(c.Ref).Total)
		f.SetTime(start.Add(wait))
	} else {
		f.advance(wait)
	}
	view := f.view(c.Ref)
	require.EqualValues(f, 2, *view.Total)
	require.False(f, view.Changing)
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.SoldOut}, verdicts(f.admit(c.Ref, "b", "c")))
	require.NoError(f, f.change(c, 2, false, total(2)), "what has come to hold is narrowed")
}

func unlimitedCap(f *fixture) {
	c := f.lone(1)
	f.publish(c)
	unlimited := func(t *coupon.Terms) { t.Total = nil }
	require.NoError(f, f.change(c, 1, true, unlimited))
	require.EqualValues(f, 1, *f.view(c.Ref).Total)
	f.advance(wait)
	require.Nil(f, f.view(c.Ref).Total)
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.Admitted}, verdicts(f.admit(c.Ref, "a", "b")))
	require.NoError(f, f.change(c, 2, false, total(2)))
	require.Equal(f, []coupon.Verdict{coupon.SoldOut}, verdicts(f.admit(c.Ref, "c")))
	require.NoError(f, f.change(c, 3, false, unlimited), "unlimited is never narrower: it waits")
	require.EqualValues(f, 2, *f.view(c.Ref).Total)
	require.True(f, f.view(c.Ref).Changing)
}

func pauseAndReopen(f *fixture) {
	c := f.lone(9)
	f.publish(c)
	require.NoError(f, f.change(c, 1, false, state(coupon.StatePaused)))
	require.Equal(f, []coupon.Verdict{coupon.Paused}, verdicts(f.admit(c.Ref, "a")))
	require.NoError(f, f.change(c, 2, true, state(coupon.StateOpen)))
	if f.SetTime != nil {
		require.Equal(f, []coupon.Verdict{coupon.Paused}, verdicts(f.admit(c.Ref, "a")))
	}
	f.advance(wait)
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(c.Ref, "a")))
	require.NoError(f, f.change(c, 3, false, state(coupon.StateClosed)))
	require.Equal(f, []coupon.Verdict{coupon.Closed, coupon.Pending}, verdicts(f.admit(c.Ref, "b", "a")))
	require.NoError(f, f.change(c, 4, true, state(coupon.StatePaused)), "closed may be reopened")
	f.advance(wait)
	require.Equal(f, []coupon.Verdict{coupon.Paused}, verdicts(f.admit(c.Ref, "b")))
}

func moveWindow(f *fixture) {
	c := f.lone(9)
	f.publish(c)
	later := c.OpensAt.Add(90 * time.Minute)
	require.NoError(f, f.change(c, 1, false, func(t *coupon.Terms) { t.OpensAt = later }))
	answer := f.try(c.Ref, asksOf("a")...)
	require.Equal(f, []coupon.Verdict{coupon.NotOpen}, verdicts(answer.Decisions))
	require.Equal(f, later.UnixMicro(), answer.OpensAt.UnixMicro())
	require.NoError(f, f.change(c, 2, true, func(*coupon.Terms) {}))
	require.Equal(f, later.UnixMicro(), f.view(c.Ref).OpensAt.UnixMicro())
	f.advance(wait)
	require.Equal(f, c.OpensAt.UnixMicro(), f.view(c.Ref).OpensAt.UnixMicro())
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(c.Ref, "a")))
	require.NoError(f, f.change(c, 3, false, func(t *coupon.Terms) { t.ClosesAt = f.Now() }))
	require.Equal(f, []coupon.Verdict{coupon.Closed}, verdicts(f.admit(c.Ref, "b")))
	require.NoError(f, f.change(c, 4, true, func(t *coupon.Terms) { t.ClosesAt = t.ClosesAt.Add(time.Hour) }))
	f.advance(wait)
	require.Equal(f, []coupon.Verdict{coupon.Admitted}, verdicts(f.admit(c.Ref, "b")))
	require.Equal(f, c.ClosesAt.Add(time.Hour).UnixMicro(), f.view(c.Ref).ClosesAt.UnixMicro())
}

// 2 places now, 9 on their way, and then 5: an immediate 5 would outrun a memory of "sold out" at 2.
func narrowWhileWaiting(f *fixture) {
	c := f.lone(2)
	f.publish(c)
	require.NoError(f, f.change(c, 1, true, total(9)))
	raised := f.Now()
	if f.SetTime != nil {
		f.advance(wait / 2)
	}
	require.NoError(f, f.change(c, 2, false, total(5)))
	if f.SetTime != nil {
		view := f.view(c.Ref)
		require.EqualValues(f, 2, *view.Total)
		require.True(f, view.Changing)
		f.SetTime(raised.Add(wait - time.Microsecond))
		require.EqualValues(f, 2, *f.view(c.Ref).Total)
		f.SetTime(raised.Add(wait)) // it keeps its time
	} else {
		f.advance(2 * wait)
	}
	require.EqualValues(f, 5, *f.view(c.Ref).Total)
	require.NoError(f, f.change(c, 3, true, total(9)))
	require.NoError(f, f.change(c, 4, false, total(1)))
	view := f.view(c.Ref)
	require.EqualValues(f, 1, *view.Total)
	require.False(f, view.Changing, "nothing is left to wait for")
	f.advance(2 * wait)
	require.EqualValues(f, 1, *f.view(c.Ref).Total)
}

func widenWhileWaiting(f *fixture) {
	c := f.lone(2)
	f.publish(c)
	require.NoError(f, f.change(c, 1, true, total(3)))
	if f.SetTime == nil {
		require.NoError(f, f.change(c, 2, true, total(9)))
		f.advance(wait)
		require.EqualValues(f, 9, *f.view(c.Ref).Total)
		return
	}
	f.advance(wait / 2)
	require.NoError(f, f.change(c, 2, true, total(9)))
	f.advance(wait - time.Microsecond)
	require.EqualValues(f, 2, *f.view(c.Ref).Total, "the wider of both has its own wait")
	f.advance(time.Microsecond)
	require.EqualValues(f, 9, *f.view(c.Ref).Total)
}

func revisions(f *fixture) {
	c := f.lone(9)
	c.Revision = 3
	f.publish(c)
	require.ErrorIs(f, f.change(c, 2, false, total(5)), coupon.ErrSuperseded)
	require.NoError(f, f.change(c, 3, false, total(5)), "the gate's own is done already")
	require.EqualValues(f, 9, *f.view(c.Ref).Total)
	require.NoError(f, f.change(c, 5, false, total(5)))
	before := f.view(c.Ref).Generation
	f.admit(c.Ref, "a", "b", "c")
	for range 2 {
		require.NoError(f, f.change(c, 5, false, total(1)), "replayed, whatever came since")
	}
	require.ErrorIs(f, f.change(c, 4, false, total(3)), coupon.ErrSuperseded)
	require.ErrorIs(f, f.change(c, 4, true, total(30)), coupon.ErrSuperseded)
	view := f.view(c.Ref)
	require.EqualValues(f, 5, *view.Total)
	require.Equal(f, before, view.Generation)
	require.NoError(f, f.change(c, 10, false, total(4)), "as a number, not as a text")
}

func newerGate(f *fixture) {
	c := f.lone(9)
	f.publish(c)
	f.rebuild(3, c)
	change := coupon.TermsChange{Ref: c.Ref, To: c.Terms, Revision: 1, Widen: true, Wait: wait, Epoch: 2}
	change.To.Total = count(20)
	epoch, err := f.Gate.Change(f.ctx, change)
	require.NoError(f, err)
	require.EqualValues(f, 3, epoch)
	require.False(f, f.view(c.Ref).Changing, "it has read the ledger after that change")
	// A gate of an older epoch takes it: the rebuild of that epoch may never come.
	change.Epoch = 4
	epoch, err = f.Gate.Change(f.ctx, change)
	require.NoError(f, err)
	require.EqualValues(f, 3, epoch)
	f.advance(wait)
	require.EqualValues(f, 20, *f.view(c.Ref).Total)
	// A narrowing asks the gate of whatever epoch, and the ledger compares.
	change.Widen, change.Epoch, change.Revision, change.To.Total = false, 0, 2, count(5)
	epoch, err = f.Gate.Change(f.ctx, change)
	require.NoError(f, err)
	require.EqualValues(f, 3, epoch)
	require.EqualValues(f, 5, *f.view(c.Ref).Total)
}

func generations(f *fixture) {
	c := f.lone(9)
	f.publish(c)
	last := f.view(c.Ref).Generation
	for i, edit := range []func(*coupon.Terms){total(8), total(12), state(coupon.StatePaused), state(coupon.StateOpen)} {
		require.NoError(f, f.change(c, int64(i+1), i%2 == 1, edit))
		next := f.view(c.Ref).Generation
		require.Greater(f, next, last)
		last = next
	}
	f.admit(c.Ref, "a")
	f.confirm(c.Ref, place("a", 1, 1))
	require.Equal(f, last, f.view(c.Ref).Generation, "claims are no change")
}

// Revision 1 raised the total to 9 in the ledger and died before the gate. Revision 2 lowers 9 to 5; the gate has 2.
func missedWidening(f *fixture) {
	c := f.lone(2)
	f.publish(c)
	require.NoError(f, f.change(c, 2, false, total(5)))
	if f.SetTime != nil {
		require.EqualValues(f, 2, *f.view(c.Ref).Total)
	}
	f.advance(wait)
	require.EqualValues(f, 5, *f.view(c.Ref).Total)
	require.ErrorIs(f, f.change(c, 1, true, total(9)), coupon.ErrSuperseded)
}

func noWaitNoWider(f *fixture) {
	c := f.lone(2)
	f.publish(c)
	to := c.Terms
	to.Total, to.State = count(5), coupon.StatePaused
	_, err := f.Gate.Change(f.ctx, coupon.TermsChange{Ref: c.Ref, To: to, Revision: 1})
	require.NoError(f, err)
	view := f.view(c.Ref)
	require.EqualValues(f, 2, *view.Total)
	require.Equal(f, coupon.StatePaused, view.State)
	require.False(f, view.Changing)
}

func emptyWindow(f *fixture) {
	c := f.lone(2)
	f.publish(c)
	require.NoError(f, f.change(c, 1, false, func(t *coupon.Terms) { t.OpensAt, t.ClosesAt = t.ClosesAt, t.OpensAt }))
	require.Equal(f, []coupon.Verdict{coupon.Closed}, verdicts(f.admit(c.Ref, "a")))
}

func siblingUntouched(f *fixture) {
	made := f.event(2, 5)
	f.publish(made...)
	require.NoError(f, f.change(made[0], 1, false, state(coupon.StatePaused)))
	for i, verdict := range []coupon.Verdict{coupon.Paused, coupon.Admitted} {
		require.Equal(f, []coupon.Verdict{verdict}, verdicts(f.admit(made[i].Ref, fmt.Sprint("u", i))))
	}
	require.NoError(f, f.change(made[1], 1, false, total(1)), "revisions are a coupon's own")
}
