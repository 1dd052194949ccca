package schedule_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/batch/internal/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// leases in memory, as the ledger keeps them; they do not run out.
type leases struct {
	mu   sync.Mutex
	held map[string]string
	err  error
}

func (l *leases) Acquire(_ context.Context, name, owner string, _ time.Duration) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return false, l.err
	}
	if l.held == nil {
		l.held = map[string]string{}
	}
	if of, held := l.held[name]; held && of != owner {
		return false, nil
	}
	l.held[name] = owner
	return true, nil
}

func (l *leases) Release(_ context.Context, name, owner string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[name] == owner {
		delete(l.held, name)
	}
	return nil
}

func deps(l schedule.Leases) schedule.Deps {
	return schedule.Deps{Leases: l, Lease: 10 * time.Second, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
}

// start runs a schedule and returns a function that stops it and waits.
func start(t *testing.T, d schedule.Deps, jobs ...schedule.Job) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- schedule.Run(ctx, d, jobs) }()
	return sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func TestAJobRunsInOneInstanceAtATime(t *testing.T) {
	t.Parallel()
	var running, most, runs atomic.Int32
	job := schedule.Job{Name: "retry", Every: time.Millisecond, Run: func(context.Context) (string, error) {
		if now := running.Add(1); now > most.Load() {
			most.Store(now)
		}
		for range 1000 { // others would come in, if they could
			runtime.Gosched()
		}
		running.Add(-1)
		runs.Add(1)
		return "", nil
	}}
	shared := &leases{}
	var stops []func()
	for range 3 {
		stops = append(stops, start(t, deps(shared), job))
	}
	require.Eventually(t, func() bool { return runs.Load() > 50 }, 10*time.Second, time.Millisecond)
	for _, stop := range stops {
		stop()
	}
	assert.Equal(t, int32(1), most.Load())
	assert.Empty(t, shared.held, "every lease was given back")
}

func TestAFailedRunIsCountedAndTheNextOneComes(t *testing.T) {
	t.Parallel()
	d := deps(&leases{})
	var runs atomic.Int32
	stop := start(t, d, schedule.Job{Name: "changes", Every: time.Millisecond, Run: func(context.Context) (string, error) {
		if runs.Add(1) == 1 {
			return "", errors.New("the database is away")
		}
		return "", nil
	}})
	require.Eventually(t, func() bool { return runs.Load() >= 3 }, 10*time.Second, time.Millisecond)
	stop()
	failed, err := testutil.GatherAndCount(d.Registerer.(*prometheus.Registry), "firstcome_batch_job_runs_total")
	require.NoError(t, err)
	assert.GreaterOrEqual(t, failed, 2, "failed and done")
}

func TestAnInstanceWithoutTheLeaseLeavesTheJobAlone(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]*leases{
		"held by another":     {held: map[string]string{"batch:retry": "another"}},
		"cannot be asked for": {err: errors.New("the database is away")},
	} {
		var asked, runs atomic.Int32
		counting := &countingLeases{Leases: l, asked: &asked}
		stop := start(t, deps(counting), schedule.Job{Name: "retry", Every: time.Millisecond, Run: func(context.Context) (string, error) {
			runs.Add(1)
			return "", nil
		}})
		require.Eventually(t, func() bool { return asked.Load() > 5 }, 10*time.Second, time.Millisecond, name)
		stop()
		assert.Zero(t, runs.Load(), name)
	}
}

type countingLeases struct {
	schedule.Leases
	asked *atomic.Int32
}

func (c *countingLeases) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	c.asked.Add(1)
	return c.Leases.Acquire(ctx, name, owner, ttl)
}

func TestAStopEndsTheRunThatIsUnderWay(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	stop := start(t, deps(&leases{}), schedule.Job{Name: "rebuild", Every: time.Hour, Run: func(ctx context.Context) (string, error) {
		close(began)
		<-ctx.Done()
		return "", ctx.Err()
	}})
	<-began
	stop()
}
