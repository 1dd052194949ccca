package proxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/e2e/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// short is how long silence lasts before a test takes it for silence; long bounds everything that must come.
const (
	short = 50 * time.Millisecond
	long  = 30 * time.Second
)

// echo answers each line with itself and counts what it has got.
func echo(t *testing.T) (addr string, got *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's own
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	got = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // the test looks at the other end
				for lines := bufio.NewScanner(c); lines.Scan(); {
					got.Add(1)
					if _, err := c.Write(append(lines.Bytes(), '\n')); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), got
}

func start(t *testing.T) (*proxy.Proxy, *atomic.Int64) {
	t.Helper()
	addr, got := echo(t)
	p, err := proxy.Listen(addr)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p, got
}

func dial(t *testing.T, p *proxy.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr()) //nolint:noctx // loopback
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // a second close is no failure
	return c
}

// ask sends a line and waits for its echo.
func ask(t *testing.T, c net.Conn, within time.Duration) error {
	t.Helper()
	if _, err := c.Write([]byte("a\n")); err != nil {
		return err
	}
	require.NoError(t, c.SetReadDeadline(time.Now().Add(within)))
	_, err := io.ReadFull(c, make([]byte, 2))
	return err
}

func TestWithoutAFaultEverythingPasses(t *testing.T) {
	t.Parallel()
	p, _ := start(t)
	require.NoError(t, ask(t, dial(t, p), long))
	require.Zero(t, p.Affected())
}

func TestCutEndsOldConnectionsAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	p, _ := start(t)
	c := dial(t, p)
	require.NoError(t, ask(t, c, long))
	p.Cut()
	require.Error(t, ask(t, c, long))
	var d net.Dialer
	if c, err := d.DialContext(t.Context(), "tcp", p.Addr()); err == nil { // else it was cut before it was made
		require.Error(t, ask(t, c, long))
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool { return p.Affected() >= 2 }, long, time.Millisecond)
	p.Heal()
	require.NoError(t, ask(t, dial(t, p), long))
}

func TestStallHoldsUpAndLosesNothing(t *testing.T) {
	t.Parallel()
	p, _ := start(t)
	c := dial(t, p)
	require.NoError(t, ask(t, c, long))
	p.Stall()
	require.ErrorIs(t, ask(t, c, short), os.ErrDeadlineExceeded)
	p.Heal()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(long)))
	_, err := io.ReadFull(c, make([]byte, 2))
	require.NoError(t, err)
}

func TestDroppedRepliesWereRequests(t *testing.T) {
	t.Parallel()
	p, got := start(t)
	c := dial(t, p)
	require.NoError(t, ask(t, c, long))
	p.DropReplies()
	require.ErrorIs(t, ask(t, c, short), os.ErrDeadlineExceeded)
	require.Eventually(t, func() bool { return got.Load() == 2 && p.Affected() > 0 }, long, time.Millisecond)
	p.Heal()
	err := ask(t, c, long)
	require.Error(t, err, "a connection that lost a reply must not go on")
	require.False(t, errors.Is(err, os.ErrDeadlineExceeded))
	require.NoError(t, ask(t, dial(t, p), long))
}

func TestHalfClosedStillPassesRequests(t *testing.T) {
	t.Parallel()
	p, got := start(t)
	c := dial(t, p)
	require.NoError(t, ask(t, c, long))
	p.HalfClose()
	require.ErrorIs(t, ask(t, c, long), io.EOF)
	require.Eventually(t, func() bool { return got.Load() == 2 }, long, time.Millisecond)
}

func TestDelayHoldsUpEveryChunk(t *testing.T) {
	t.Parallel()
	p, _ := start(t)
	c := dial(t, p)
	p.Delay(short)
	began := time.Now()
	require.NoError(t, ask(t, c, long))
	require.GreaterOrEqual(t, time.Since(began), 2*short)
}

func TestANewTargetIsForNewConnections(t *testing.T) {
	t.Parallel()
	p, got := start(t)
	other, its := echo(t)
	c := dial(t, p)
	require.NoError(t, ask(t, c, long))
	p.SetTarget(other)
	require.NoError(t, ask(t, c, long))
	require.NoError(t, ask(t, dial(t, p), long))
	require.EqualValues(t, 2, got.Load())
	require.EqualValues(t, 1, its.Load())
}
