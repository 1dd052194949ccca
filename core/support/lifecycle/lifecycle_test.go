package lifecycle_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/core/support/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary is an ordered list of what happened.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// untilEnd runs until its context ends.
func (d *diary) untilEnd(name string, started *sync.WaitGroup) func(context.Context) error {
	started.Add(1)
	return func(ctx context.Context) error {
		started.Done()
		<-ctx.Done()
		d.add(name)
		return ctx.Err()
	}
}

func TestPartsStopOneAfterTheOtherInTheOppositeOrder(t *testing.T) {
	t.Parallel()
	var d diary
	var started sync.WaitGroup
	g := lifecycle.NewGroup(slog.New(slog.DiscardHandler), 0)
	g.OnStop("database", func(context.Context) error { d.add("database"); return nil })
	g.Go("sweeper", d.untilEnd("sweeper", &started))
	g.OnStop("desk", func(context.Context) error { d.add("desk"); return nil })
	g.Go("http", d.untilEnd("http", &started))

	ctx, cancel := context.WithCancel(t.Context())
	go func() { started.Wait(); cancel() }()
	require.NoError(t, g.Run(ctx))
	assert.Equal(t, []string{"http", "desk", "sweeper", "database"}, d.lines)
}

func TestAPartThatEndsByItselfStopsTheOthers(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]error{"http: port is gone": errors.New("port is gone"), "http ended by itself": nil} {
		var d diary
		var started sync.WaitGroup
		g := lifecycle.NewGroup(slog.New(slog.DiscardHandler), 0)
		g.Go("sweeper", d.untilEnd("sweeper", &started))
		g.Go("http", func(context.Context) error { started.Wait(); return broken })
		g.OnStop("metrics", func(context.Context) error { return errors.New("not flushed") })
		err := g.Run(t.Context())
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "metrics: not flushed")
		assert.Equal(t, []string{"sweeper"}, d.lines)
	}
}

func TestAPartThatDoesNotStopIsNamedAndLeftBehind(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var d diary
	g := lifecycle.NewGroup(slog.New(slog.DiscardHandler), 20*time.Millisecond)
	g.OnStop("database", func(ctx context.Context) error { d.add("database"); return ctx.Err() })
	g.Go("hangs", func(context.Context) error { <-release; return nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := g.Run(ctx)
	require.ErrorContains(t, err, "not stopped after 20ms: hangs")
	assert.Equal(t, []string{"database"}, d.lines)
	close(release)
}

func TestAPortThatIsTakenSaysWhichKeyToChange(t *testing.T) {
	t.Parallel()
	l, err := lifecycle.Listen(t.Context(), "http.addr", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	_, err = lifecycle.Listen(t.Context(), "http.addr", l.Addr().String())
	require.ErrorContains(t, err, l.Addr().String()+" is taken by another program")
	require.ErrorContains(t, err, "set http.addr (FIRSTCOME_HTTP_ADDR) to a free address")
	_, err = lifecycle.Listen(t.Context(), "ops.addr", "192.0.2.1:0") // documentation addresses are nobody's
	require.ErrorContains(t, err, "no address of this machine: correct ops.addr (FIRSTCOME_OPS_ADDR)")
	_, err = lifecycle.Listen(t.Context(), "ops.addr", "127.0.0.1:99999")
	require.ErrorContains(t, err, "cannot listen on 127.0.0.1:99999")
}

// Not parallel: signals go to the whole process.
func TestASignalEndsTheContextWithItsCause(t *testing.T) {
	ctx, stop := lifecycle.Signals(t.Context())
	defer stop()
	require.NoError(t, syscall.Kill(syscall.Getpid(), syscall.SIGTERM))
	select {
	case <-ctx.Done():
		require.ErrorIs(t, context.Cause(ctx), lifecycle.ErrSignal)
	case <-time.After(10 * time.Second):
		t.Fatal("the signal did not end the context")
	}
}
