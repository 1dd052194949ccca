package e2e

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/proxy"
	"github.com/firstcome/firstcome/e2e/servers"
	"github.com/firstcome/firstcome/e2e/stack"
)

// lab is a stack on a Redis of the test's own, which the stack reaches through a proxy; with a second Redis that follows
// the first through another proxy, so that its lag is the test's to choose.
type lab struct {
	*stack.Stack
	way, copying *proxy.Proxy // clients to the master; the replica to the master
	master       *node
	replica      *node
	bystander    int64 // a coupon of another tag
	sales        []*sale
	times        []string // of recoveries
}

// node is one Redis with a client of its own, beside the proxy.
type node struct {
	*servers.Server
	*redis.Client
}

// oneReplica accepts what a pair of servers cannot have: after a failover the one that is left must write without a
// replica. No test cuts a primary off while its successor decides.
const oneReplica = "FIRSTCOME_CHECKS_ALLOW=redis_replica_lag,redis_min_replicas"

// asked is how often one asks whether it works again: the resolution of the times to recovery.
const asked = 10 * time.Millisecond

func newNode(t *testing.T, args ...string) *node {
	t.Helper()
	server := stack.Own(t)(servers.NewRedis(filepath.Join(t.TempDir(), "redis"), args...))
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return &node{Server: server, Client: client}
}

func newProxy(t *testing.T, target string) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Listen(target)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func newLab(t *testing.T, args ...string) *lab {
	t.Helper()
	l := &lab{master: newNode(t, args...)}
	l.way = newProxy(t, l.master.Addr())
	l.Stack = stack.Start(t, stack.Real, stack.Options{Redis: l.way.Addr(), Env: []string{oneReplica}})
	l.bystander = l.Coupon(t, map[string]any{"total_quantity": 1_000_000})
	return l
}

// follows gives the lab a replica that has everything.
func (l *lab) follows(t *testing.T) {
	t.Helper()
	l.replica = newNode(t)
	l.copying = newProxy(t, l.master.Addr())
	l.replica.follow(t, l.copying.Addr())
}

func (n *node) follow(t *testing.T, addr string) {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	require.NoError(t, n.ReplicaOf(t.Context(), host, port).Err())
	stack.Eventually(t, time.Minute, func() bool { return n.field(t, "replication", "master_link_status") == "up" }, "the replica has everything")
}

func (n *node) lead(t *testing.T) {
	t.Helper()
	require.NoError(t, n.ReplicaOf(t.Context(), "no", "one").Err())
}

// field is a field of INFO, empty where there is none.
func (n *node) field(t *testing.T, section, name string) string {
	t.Helper()
	for line := range strings.Lines(n.Info(t.Context(), section).Val()) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+":"); found {
			return value
		}
	}
	return ""
}

// sale is a coupon with a crowd before it, in which everybody asks until there is a clear answer.
type sale struct {
	coupon, limit int64
	tag           string
	p             *promises
	next          chan string
	crowd         sync.WaitGroup
}

const crowdWorkers = 12

// open publishes a coupon and lets the first users in.
func (l *lab) open(t *testing.T, limit int64, fields map[string]any) *sale {
	t.Helper()
	all := map[string]any{"total_quantity": limit}
	for name, value := range fields {
		all[name] = value
	}
	c := &sale{limit: limit, p: &promises{kept: map[string]stack.Receipt{}}, next: make(chan string)}
	c.coupon = l.Coupon(t, all)
	c.tag = fmt.Sprintf("c%d", c.coupon)
	if event, of := all["event_id"]; of {
		c.tag = fmt.Sprintf("e%d", event)
	}
	for worker := range crowdWorkers {
		c.crowd.Go(func() {
			for user := range c.next {
				c.until(t, l, worker, user)
			}
		})
	}
	l.sales = append(l.sales, c)
	return c
}

// until asks for a user until the answer is clear.
func (c *sale) until(t *testing.T, l *lab, api int, user string) {
	deadline := time.Now().Add(drainWithin)
	for at := api; ; at++ {
		a, err := l.Claim(t.Context(), at, c.coupon, user)
		if err == nil && a.Status != http.StatusServiceUnavailable {
			c.p.note(t, user, a)
			return
		}
		if t.Context().Err() != nil || time.Now().After(deadline) {
			t.Errorf("%s gets no answer: %v %d %s", user, err, a.Status, a.Body)
			return
		}
		<-time.After(asked)
	}
}

// ask lets users from i to j ask, and says how many of them are on their way when it returns: at most the workers.
func (c *sale) ask(i, j int) {
	for ; i < j; i++ {
		c.next <- fmt.Sprintf("u-%d", i)
	}
}

// fault does something to Redis in the middle of a sale and waits until everybody of the crowd has an answer. It returns
// the time from the end of what was done until the user who held a place before is told so again.
func (l *lab) fault(t *testing.T, name string, do func(c *sale), fields map[string]any) (c *sale, recovery time.Duration) {
	t.Helper()
	c, recovery, _ = l.faultIf(t, name, func(c *sale) bool { do(c); return true }, fields)
	return c, recovery
}

// faultIf is fault for one that may find that it cannot do anything to this sale: then it is a sale like any other.
func (l *lab) faultIf(t *testing.T, name string, do func(c *sale) bool, fields map[string]any) (c *sale, recovery time.Duration, done bool) {
	t.Helper()
	const limit, users = 200, 300
	c = l.open(t, limit, fields)
	c.until(t, l, 0, "first")
	first := c.p.kept["first"]
	c.ask(0, users/3)
	asking := make(chan struct{})
	go func() { // the storm goes on meanwhile
		defer close(asking)
		c.ask(users/3, users)
		close(c.next)
	}()
	done = do(c)
	recovery = l.recovered(t, c, first)
	<-asking
	c.crowd.Wait()
	// Whoever has a place hears the same again.
	for i := 0; i < users; i += 10 {
		c.until(t, l, i, fmt.Sprintf("u-%d", i))
	}
	require.Len(t, c.p.kept, limit, "%s: sold out exactly", name)
	require.Empty(t, c.p.lied, name)
	if done {
		l.times = append(l.times, fmt.Sprintf("%-58s %6.2f s", name, recovery.Seconds()))
	}
	return c, recovery, done
}

// recovered waits until a user who has a place hears so, and never anything else but "repeat".
func (l *lab) recovered(t *testing.T, c *sale, held stack.Receipt) time.Duration {
	t.Helper()
	began := time.Now()
	for at := 0; ; at++ {
		a, err := l.Claim(t.Context(), at, c.coupon, held.UserID)
		switch {
		case err == nil && a.Accepted():
			require.Equal(t, held.Seq, a.Receipt(t).Seq, "the same number")
			return time.Since(began)
		case err == nil:
			require.Equal(t, http.StatusServiceUnavailable, a.Status, "a holder hears: %s", a.Body)
		}
		require.Less(t, time.Since(began), drainWithin, "it does not recover: %v %d %s", err, a.Status, a.Body)
		<-time.After(asked)
	}
}

// undisturbed runs what it is given while users claim a coupon of another tag, each of whom must be served at once.
func (l *lab) undisturbed(t *testing.T, name string, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var served, failed atomic.Int64
	var done sync.WaitGroup
	began := time.Now().UnixNano()
	for worker := range 2 {
		done.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				a, err := l.Claim(t.Context(), worker, l.bystander, fmt.Sprintf("b-%d-%d-%d", began, worker, i))
				if err == nil && a.Status == http.StatusAccepted {
					served.Add(1)
				} else if failed.Add(1) == 1 {
					t.Logf("%s: a bystander heard %v %d %s", name, err, a.Status, a.Body)
				}
				<-time.After(asked)
			}
		})
	}
	do()
	cancel()
	done.Wait()
	require.Positive(t, served.Load())
	require.Zero(t, failed.Load(), "%s: others are not disturbed (%d were served)", name, served.Load())
}

// epoch is how often a gate was built, by the ledger.
func (l *lab) epoch(t *testing.T, c *sale) int64 {
	t.Helper()
	return l.Count(t, "SELECT epoch FROM gates WHERE tag = ?", c.tag)
}

// rest lets everything come to rest and judges all sales by the clients' history.
func (l *lab) rest(t *testing.T) {
	t.Helper()
	for _, c := range l.sales {
		c.p.judge(t, l.Stack, c.coupon, c.limit)
	}
	broken := l.Count(t, "SELECT COUNT(*) FROM failed_events WHERE reason <> 'stale_epoch'")
	require.Zero(t, broken, "the only records refused are those of an overtaken gate")
	t.Logf("from the end of the fault until a holder is answered:\n%s", strings.Join(l.times, "\n"))
}
