package coupon_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/firstcome/firstcome/core/coupon"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func places(n int64) *int64 { return &n }

func drawTerms(t *rapid.T, label string) coupon.Terms {
	terms := coupon.Terms{
		State:    rapid.SampledFrom([]coupon.State{coupon.StateOpen, coupon.StatePaused, coupon.StateClosed}).Draw(t, label+" state"),
		OpensAt:  noon.Add(time.Duration(rapid.IntRange(-3, 3).Draw(t, label+" opens"))),
		ClosesAt: noon.Add(time.Duration(rapid.IntRange(4, 9).Draw(t, label+" closes"))),
	}
	if n := rapid.Int64Range(0, 3).Draw(t, label+" total"); n > 0 {
		terms.Total = places(n)
	}
	return terms
}

// admits says whether a claim at that moment gets a place.
func admits(terms coupon.Terms, now time.Time, taken int64) bool {
	return terms.Shown(now, taken) == coupon.ShownOpen
}

func TestMeetIsTheNarrowestOfBoth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTerms(t, "a"), drawTerms(t, "b")
		m := a.Meet(b)
		now := noon.Add(time.Duration(rapid.IntRange(-5, 10).Draw(t, "now")))
		taken := rapid.Int64Range(0, 4).Draw(t, "taken")
		require.Equal(t, admits(a, now, taken) && admits(b, now, taken), admits(m, now, taken))
		require.True(t, a.Narrows(m) && b.Narrows(m) && m.Widens(a) && m.Widens(b))
		require.True(t, m.Same(b.Meet(a)))
		require.True(t, a.Narrows(a) && a.Widens(a))
		if a.Narrows(b) && a.Widens(b) {
			require.True(t, a.Same(b))
		}
	})
}

func TestAChangeTakesAtMostTwoSteps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawTerms(t, "from"), drawTerms(t, "to")
		away := time.Duration(rapid.IntRange(-14, 14).Draw(t, "away"))
		to.OpensAt, to.ClosesAt = to.OpensAt.Add(away), to.ClosesAt.Add(away)

		step := from.Step(to)
		require.True(t, from.Narrows(step) && step.Widens(to))
		require.NoError(t, step.Validate(), "what is stored in between is a good window too")
		now := noon.Add(time.Duration(rapid.IntRange(-20, 25).Draw(t, "now")))
		if admits(step, now, 0) {
			require.True(t, admits(from, now, 0) && admits(to, now, 0))
		}
		if from.Narrows(to) {
			require.True(t, step.Same(to))
		}
		if from.Widens(to) {
			require.True(t, step.Same(from))
		}
	})
}

func TestShownIsTheFirstThatFits(t *testing.T) {
	t.Parallel()
	terms := coupon.Terms{Total: places(2), State: coupon.StatePaused, OpensAt: noon, ClosesAt: noon.Add(time.Hour)}
	for _, c := range []struct {
		name  string
		at    time.Time
		state coupon.State
		taken int64
		want  string
	}{
		{"a microsecond before it opens", noon.Add(-time.Microsecond), coupon.StateOpen, 0, coupon.ShownScheduled},
		{"scheduled wins over paused", noon.Add(-time.Hour), coupon.StatePaused, 0, coupon.ShownScheduled},
		{"the first instant", noon, coupon.StateOpen, 0, coupon.ShownOpen},
		{"paused wins over sold out", noon, coupon.StatePaused, 2, coupon.ShownPaused},
		{"sold out", noon, coupon.StateOpen, 2, coupon.ShownSoldOut},
		{"the last microsecond", noon.Add(time.Hour - time.Microsecond), coupon.StateOpen, 1, coupon.ShownOpen},
		{"the first instant after", noon.Add(time.Hour), coupon.StateOpen, 0, coupon.ShownClosed},
		{"closed wins over scheduled", noon.Add(-time.Hour), coupon.StateClosed, 0, coupon.ShownClosed},
	} {
		terms.State = c.state
		require.Equal(t, c.want, terms.Shown(c.at, c.taken), c.name)
	}
}

func TestRemainingIsNeverNegative(t *testing.T) {
	t.Parallel()
	require.Nil(t, coupon.Terms{}.Remaining(5), "unlimited")
	require.EqualValues(t, 0, *coupon.Terms{Total: places(3)}.Remaining(5))
	require.EqualValues(t, 2, *coupon.Terms{Total: places(3)}.Remaining(1))
}
