package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever keeps a connection and asks over it while the api stops gets an answer to every question, and the last one says
// that the connection ends.
func TestAConnectionThatIsKeptGetsItsAnswersWhileTheAPIStops(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	s.cfg.HTTP.DrainDelay = 200 * time.Millisecond
	r := s.run(t)
	conn, err := dial(t, r.url)
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // the server closes it
	replies := bufio.NewReader(conn)
	ask := func() (last bool) {
		_, werr := io.WriteString(conn, "GET /v1/coupons HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, werr)
		got, rerr := http.ReadResponse(replies, nil)
		require.NoError(t, rerr)
		_, rerr = io.Copy(io.Discard, got.Body)
		require.NoError(t, errors.Join(rerr, got.Body.Close()))
		require.Equal(t, http.StatusOK, got.StatusCode)
		return got.Close
	}
	require.False(t, ask())
	began := time.Now()
	r.stop()
	require.Eventually(t, func() bool {
		results, _ := r.checks.Run(t.Context(), false)
		for _, c := range results {
			if c.Name == "http" {
				return !c.OK
			}
		}
		return false
	}, 5*time.Second, time.Millisecond, "/readyz says it first")
	if time.Since(began) < s.cfg.HTTP.DrainDelay/2 { // else the machine was too slow to see it
		late, derr := dial(t, r.url)
		require.NoError(t, derr, "new connections are taken while the load balancers look away")
		require.NoError(t, late.Close())
	}
	for !ask() { // each of them in time, since it asks without a pause
	}
	_, err = replies.ReadByte()
	require.ErrorIs(t, err, io.EOF, "closed in order, not reset")
	assert.GreaterOrEqual(t, time.Since(began), s.cfg.HTTP.DrainDelay)
	require.NoError(t, <-r.done)
	close(r.done)
}

// Clients that open a connection for every question fail to connect at most: no connection that was made is reset.
func TestAStopRefusesNewConnectionsAndResetsNone(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	r := s.run(t)
	var asked, refused atomic.Int64
	var clients sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 16 {
		clients.Go(func() {
			var d net.Dialer
			for ctx.Err() == nil {
				conn, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(r.url, "http://"))
				if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) { // not connected: safe to go elsewhere
					refused.Add(1)
					return
				}
				if err == nil {
					err = oneQuestion(conn)
				}
				if ctx.Err() == nil && !assert.NoError(t, err) {
					return
				}
				asked.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return asked.Load() > 200 }, 30*time.Second, time.Millisecond)
	r.stop()
	clients.Wait()
	assert.EqualValues(t, 16, refused.Load())
	require.NoError(t, <-r.done)
	close(r.done)
}

func oneQuestion(conn net.Conn) error {
	defer conn.Close() //nolint:errcheck // answered
	if _, err := io.WriteString(conn, "GET /v1/coupons HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	got, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer got.Body.Close() //nolint:errcheck // read to its end
	if _, err := io.Copy(io.Discard, got.Body); err != nil {
		return err
	}
	if got.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", got.Status)
	}
	return nil
}
