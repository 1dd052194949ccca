package ledgertest

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// cutter stands between a client and a MySQL server and cuts connections: all of them, or one exactly between the server's
// commit and its answer.
type cutter struct {
	listener net.Listener
	server   string
	refuse   atomic.Bool
	commit   atomic.Bool // cut the next one that commits
	mu       sync.Mutex
	open     map[net.Conn]struct{}
	running  sync.WaitGroup
}

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{listener: listener, server: server, open: make(map[net.Conn]struct{})}
	c.running.Go(c.accept)
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		c.cutAll()
		c.running.Wait()
	})
	return c
}

func (c *cutter) addr() string { return c.listener.Addr().String() }

// atCommit cuts the next connection that commits, after the server has committed and before the client hears of it.
func (c *cutter) atCommit() { c.commit.Store(true) }

// down cuts all connections and refuses new ones, or takes them again.
func (c *cutter) down(is bool) {
	c.refuse.Store(is)
	if is {
		c.cutAll()
	}
}

func (c *cutter) cutAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		_ = conn.Close() // the other side may have been faster
	}
}

func (c *cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		if c.refuse.Load() {
			_ = client.Close() // nothing was said on it
			continue
		}
		server, err := (&net.Dialer{}).Dial("tcp", c.server)
		if err != nil {
			_ = client.Close() // the test will say what is wrong
			continue
		}
		c.mu.Lock()
		c.open[client], c.open[server] = struct{}{}, struct{}{}
		c.mu.Unlock()
		var lost atomic.Bool // the answer that comes next
		c.running.Go(func() {
			c.copy(client, server, func(b []byte) bool {
				if bytes.HasSuffix(b, []byte("\x03COMMIT")) && c.commit.CompareAndSwap(true, false) {
					lost.Store(true)
				}
				return true
			})
		})
		c.running.Go(func() { c.copy(server, client, func([]byte) bool { return !lost.Load() }) })
	}
}

// copy passes bytes on until one side ends or pass says no; then both are cut.
func (c *cutter) copy(from, to net.Conn, pass func([]byte) bool) {
	defer func() {
		_ = from.Close() // what is cut is cut
		_ = to.Close()
		c.mu.Lock()
		delete(c.open, from)
		delete(c.open, to)
		c.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || !pass(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
