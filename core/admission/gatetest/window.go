package gatetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// windowTests: [opens_at, closes_at) by the gate's own clock, exact to the microsecond (requirement B1).
func windowTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"both edges exact": edges,
		"the answer says when it opens and what time it is": tellsOpening,
		"a window in the year 9999 is exact":                farWindow,
		"a holder is told whatever the window says":         holderOutsideWindow,
	}
}

func edges(f *fixture) {
	c := f.lone(0)
	c.OpensAt = f.Now().Add(wait).Truncate(time.Microsecond)
	c.ClosesAt = c.OpensAt.Add(wait)
	f.publish(c)
	asked := 0
	ask := func() time.Time {
		asked++
		answer := f.try(c.Ref, asksOf(fmt.Sprint("u", asked))...)
		require.NoError(f, answer.Err)
		expect := coupon.Admitted
		switch {
		case answer.Now.Before(c.OpensAt):
			expect = coupon.NotOpen
		case !answer.Now.Before(c.ClosesAt):
			expect = coupon.Closed
		}
		require.Equal(f, expect, answer.Decisions[0].Verdict, "at %s in [%s, %s)", answer.Now, c.OpensAt, c.ClosesAt)
		return answer.Now
	}
	if f.SetTime == nil { // nobody can stop this clock: ask all the way through
		for ask().Before(c.ClosesAt) {
		}
		return
	}
	for _, edge := range []time.Time{c.OpensAt, c.ClosesAt} {
		for _, off := range []time.Duration{-time.Microsecond, 0, time.Microsecond} {
			f.SetTime(edge.Add(off))
			require.Equal(f, edge.Add(off).UnixMicro(), ask().UnixMicro())
		}
	}
}

func tellsOpening(f *fixture) {
	c := f.lone(1)
	c.OpensAt = f.Now().Add(30 * time.Minute).Truncate(time.Microsecond)
	f.publish(c)
	before := f.Now()
	answer := f.try(c.Ref, asksOf("u")...)
	require.Equal(f, []coupon.Verdict{coupon.NotOpen}, verdicts(answer.Decisions))
	require.Equal(f, c.OpensAt.UTC(), answer.OpensAt)
	require.Equal(f, time.UTC, answer.Now.Location())
	require.WithinDuration(f, before, answer.Now, time.Second)
	require.False(f, answer.Now.Before(before.Truncate(time.Microsecond)))
}

func holderOutsideWindow(f *fixture) {
	c := f.lone(5)
	c.ClosesAt = f.Now().Add(5 * wait)
	f.publish(c)
	require.Equal(f, []coupon.Verdict{coupon.Admitted, coupon.Admitted}, verdicts(f.admit(c.Ref, "a", "b")))
	f.confirm(c.Ref, place("a", 1, 1))
	f.advance(6 * wait)
	require.Equal(f, []coupon.Verdict{coupon.Holder, coupon.Pending, coupon.Closed}, verdicts(f.admit(c.Ref, "a", "b", "c")))
	require.Equal(f, []bool{true}, f.confirm(c.Ref, place("b", 2, 1)))
}

// Beyond 2^53 microseconds, in the year 2255, a double skips some of them.
func farWindow(f *fixture) {
	c := f.lone(5)
	c.OpensAt = time.Date(9998, 1, 1, 0, 0, 0, 1_001_000, time.UTC)
	c.ClosesAt = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	f.publish(c)
	answer := f.try(c.Ref, asksOf("u")...)
	require.Equal(f, []coupon.Verdict{coupon.NotOpen}, verdicts(answer.Decisions))
	require.Equal(f, c.OpensAt, answer.OpensAt)
	for revision := range int64(3) {
		later := c.OpensAt.Add(time.Duration(revision) * time.Microsecond)
		require.NoError(f, f.change(c, revision, false, func(t *coupon.Terms) { t.OpensAt = later }))
		view := f.view(c.Ref)
		require.Equal(f, later, view.OpensAt)
		require.Equal(f, c.ClosesAt, view.ClosesAt)
		require.False(f, view.Changing)
	}
	require.NoError(f, f.change(c, 3, true, func(t *coupon.Terms) { t.OpensAt = t.OpensAt.Add(time.Microsecond) }))
	require.True(f, f.view(c.Ref).Changing, "one microsecond wider")
	f.advance(wait)
	require.Equal(f, c.OpensAt.Add(time.Microsecond), f.view(c.Ref).OpensAt)
}
