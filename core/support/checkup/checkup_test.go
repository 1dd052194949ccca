package checkup_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/core/support/checkup"
	"github.com/firstcome/firstcome/core/support/doctor"
	"github.com/firstcome/firstcome/core/support/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a Redis that answers what it is told to.
type server struct {
	mu     sync.Mutex
	policy string
	err    error
}

func (s *server) set(policy string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy, s.err = policy, err
}

func (s *server) facts(context.Context) (*doctor.Redis, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	return &doctor.Redis{Mode: "single", Nodes: []doctor.RedisNode{{Info: doctor.Settings{
		"role": "master", "redis_version": "7.0.15", "maxmemory_policy": s.policy, "aof_enabled": "0", "connected_slaves": "0",
	}, Clock: doctor.Clock{Known: true}}}}, nil
}

func deps(s *server, log *bytes.Buffer) checkup.Deps {
	return checkup.Deps{
		Config: doctor.Config{Role: "api"}, Redis: s.facts, Log: slog.New(slog.NewTextHandler(log, nil)),
		Registerer: prometheus.NewRegistry(), Unreached: time.Millisecond, Again: time.Millisecond,
	}
}

func TestWhatBreaksAGuaranteeKeepsARoleFromStartingUnlessItIsAllowed(t *testing.T) {
	t.Parallel()
	s := &server{policy: "allkeys-lru"}
	var log bytes.Buffer
	err := checkup.New(deps(s, &log)).Start(t.Context())
	var refused *doctor.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, []string{"redis_eviction"}, refused.Findings.Names())
	assert.ErrorContains(t, err, "api does not start")

	d := deps(s, &log)
	d.Allow = []string{"redis_eviction"}
	c := checkup.New(d)
	for range 2 { // at each start
		log.Reset()
		require.NoError(t, c.Start(t.Context()))
		assert.Contains(t, log.String(), "redis_eviction")
		assert.Contains(t, log.String(), "checks.allow")
	}
	assert.NoError(t, c.Ready(t.Context()), "accepted is accepted")
}

func TestAServerThatIsAwayKeepsNobodyFromStartingAndIsJudgedWhenItComes(t *testing.T) {
	t.Parallel()
	s := &server{err: errors.New("connection refused")}
	var log bytes.Buffer
	c := checkup.New(deps(s, &log))
	require.NoError(t, c.Start(t.Context()))
	var degraded *ops.DegradedError
	require.ErrorAs(t, c.Ready(t.Context()), &degraded)
	assert.ErrorContains(t, degraded, "not checked yet, since redis does not answer: connection refused")

	done := make(chan error, 1)
	go func() { done <- c.Run(t.Context()) }()
	s.set("allkeys-lru", nil)
	var refused *doctor.RefusedError
	require.ErrorAs(t, <-done, &refused)
	assert.Equal(t, []string{"redis_eviction"}, refused.Findings.Names())
}

func TestASettingThatIsChangedLaterIsSaidAndEndsNothing(t *testing.T) {
	t.Parallel()
	s := &server{policy: "noeviction"}
	var log bytes.Buffer
	d := deps(s, &log)
	c := checkup.New(d)
	require.NoError(t, c.Start(t.Context()))
	require.NoError(t, c.Ready(t.Context()))

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	s.set("allkeys-lru", nil)
	require.Eventually(t, func() bool { return c.Ready(ctx) != nil }, 30*time.Second, time.Millisecond)
	var degraded *ops.DegradedError
	require.ErrorAs(t, c.Ready(ctx), &degraded)
	assert.ErrorContains(t, degraded, "redis_eviction: is: allkeys-lru")
	s.set("", errors.New("away for a moment"))
	require.Eventually(t, func() bool { return c.Ready(ctx) == nil }, 30*time.Second, time.Millisecond, "the servers' own checks say that")
	cancel()
	require.NoError(t, <-done)
	assert.Contains(t, log.String(), "breaks a guarantee now")
}

func TestTheMetricSaysWhatEachCheckSaid(t *testing.T) {
	t.Parallel()
	s := &server{policy: "allkeys-lru"}
	var log bytes.Buffer
	d := deps(s, &log)
	registry := prometheus.NewRegistry()
	d.Registerer, d.Allow = registry, []string{"redis_eviction"}
	require.NoError(t, checkup.New(d).Start(t.Context()))
	found := map[string]float64{}
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			found[m.GetLabel()[1].GetValue()+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	assert.Equal(t, 3.0, found["redis_eviction true"], "%v", found)
	assert.Equal(t, 0.0, found["redis_role false"], "%v", found)
	n, err := testutil.GatherAndCount(registry, "firstcome_check_severity")
	require.NoError(t, err)
	assert.Greater(t, n, 5)
}

func TestAServerThatHangsIsLeftAfterAWhile(t *testing.T) {
	t.Parallel()
	d := checkup.Deps{
		Registerer: prometheus.NewRegistry(),
		Kafka: func(ctx context.Context) (*doctor.Kafka, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}
	facts := checkup.Look(t.Context(), d)
	require.ErrorIs(t, facts.KafkaErr, context.DeadlineExceeded)
	assert.Nil(t, facts.Kafka)
}
