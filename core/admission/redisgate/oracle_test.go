package redisgate_test

import (
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/core/admission/gatetest"
	"github.com/firstcome/firstcome/core/admission/memgate"
)

// The scripts decide like the rule in plain Go, whatever happens in whatever order.
func TestScriptsFollowTheOracleOnEmbeddedRedis(t *testing.T) {
	t.Parallel()
	gatetest.Compare(t, gatetest.Pair{Oracle: oracle(), Subject: onEmbedded(t).Harness})
}

func TestScriptsFollowTheOracleOnRealRedis(t *testing.T) {
	t.Parallel()
	gatetest.Compare(t, gatetest.Pair{Oracle: oracle(), Subject: onReal(t, realConfig(t))})
}

func TestScriptsFollowTheOracleOnRealCluster(t *testing.T) {
	t.Parallel()
	gatetest.Compare(t, gatetest.Pair{Oracle: oracle(), Subject: onReal(t, clusterConfig(t))})
}

// oracle is memgate with a clock that runs like the host's until it is set.
func oracle() gatetest.Harness {
	var mu sync.Mutex
	var set time.Time
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		if set.IsZero() {
			return time.Now()
		}
		return set
	}
	g := memgate.New(memgate.Options{Now: now})
	return gatetest.Harness{
		Gate: g, Now: now,
		SetTime: func(t time.Time) {
			mu.Lock()
			defer mu.Unlock()
			set = t
		},
		Restart: func(string) { g.NewServer() }, Failover: func(string) { g.NewServer() },
		Flush: g.Flush, Lose: g.Lose, LoseOne: g.LoseOne,
	}
}
