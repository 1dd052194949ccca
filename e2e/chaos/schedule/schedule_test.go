package schedule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/chaos/schedule"
)

func choices() []schedule.Choice {
	return []schedule.Choice{
		{Kind: "often", Weight: 3, Targets: []string{"a", "b", "c"}, Least: time.Second, Most: 2 * time.Second},
		{Kind: "rare", Weight: 1, Least: time.Second, Most: time.Second},
	}
}

// Whoever is given a seed sees the same faults at the same times.
func TestTheSameSeedGivesTheSameSchedule(t *testing.T) {
	t.Parallel()
	one := schedule.Make(7, 100, time.Second, choices())
	require.Equal(t, one, schedule.Make(7, 100, time.Second, choices()))
	require.NotEqual(t, one, schedule.Make(8, 100, time.Second, choices()))
	require.Equal(t, one[:40], schedule.Make(7, 40, time.Second, choices()), "a shorter run is the beginning of a longer one")
}

// A run as long as the deck has every kind as often as it has cards, and every target in turn.
func TestEveryKindHasItsTurn(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	var last time.Duration
	for i, s := range schedule.Make(1, 40, time.Second, choices()) {
		seen[s.Kind+s.Target]++
		require.True(t, i == 0 || s.At-last >= 200*time.Millisecond && s.At-last <= 1800*time.Millisecond, "gap %s", s.At-last)
		require.True(t, s.Hold >= time.Second && s.Hold <= 2*time.Second)
		last = s.At
	}
	require.Equal(t, map[string]int{"oftena": 10, "oftenb": 10, "oftenc": 10, "rare": 10}, seen)
}

func TestPrintHasALineForEach(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	require.NoError(t, schedule.Print(&b, schedule.Make(1, 3, time.Second, choices())))
	require.Equal(t, 3, strings.Count(b.String(), "\n"))
}
