package memgate_test

import (
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/core/admission/gatetest"
	"github.com/firstcome/firstcome/core/admission/memgate"
)

func TestGate(t *testing.T) {
	t.Parallel()
	gatetest.Run(t, func(*testing.T) gatetest.Harness { return newHarness() })
}

func newHarness() gatetest.Harness {
	var mu sync.Mutex
	clock := time.Date(2026, 11, 20, 12, 0, 0, 1000, time.UTC)
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return clock
	}
	g := memgate.New(memgate.Options{Now: now})
	return gatetest.Harness{
		Gate: g, Now: now,
		SetTime: func(t time.Time) {
			mu.Lock()
			defer mu.Unlock()
			clock = t
		},
		Restart: func(string) { g.NewServer() }, Failover: func(string) { g.NewServer() },
		Flush: g.Flush, Lose: g.Lose, LoseOne: g.LoseOne,
	}
}
