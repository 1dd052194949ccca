package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/servers"
	"github.com/firstcome/firstcome/e2e/stack"
)

// A replica that lags behind takes over, and the master comes back with the replica's older data under its old run id:
// only its replication id tells the difference. Then the replica takes over for good.
func TestAReplicaThatLagsTakesOver(t *testing.T) {
	t.Parallel()
	l := newLab(t, "--repl-diskless-sync-delay", "0")
	ctx := t.Context()
	l.follows(t)
	lag := func(s *sale) { // from now on the replica gets nothing, and gates go on deciding
		stack.Eventually(t, drainWithin, func() bool {
			return l.replica.HLen(ctx, fmt.Sprintf("fc:{%s}:holders:%d", s.tag, s.coupon)).Val() > 0
		}, "the replica has the gate")
		l.copying.Stall()
		s.until(t, l, 0, "later-than-the-replica")
		// The master answers before it copies.
		stack.Eventually(t, drainWithin, func() bool { return l.copying.Affected() > 0 }, "the copy is on its way")
		missing := l.replica.HExists(ctx, fmt.Sprintf("fc:{%s}:holders:%d", s.tag, s.coupon), "later-than-the-replica")
		require.False(t, missing.Val(), "the replica lags")
	}
	s, _ := l.fault(t, "failover to a lagging replica and back", func(s *sale) {
		run, reign := l.master.field(t, "server", "run_id"), l.master.field(t, "replication", "master_replid")
		lag(s)
		l.way.Cut()
		l.replica.lead(t)
		l.copying.Cut()
		l.master.follow(t, l.replica.Addr())
		l.master.lead(t)
		require.Equal(t, run, l.master.field(t, "server", "run_id"), "it is the same process")
		require.NotEqual(t, reign, l.master.field(t, "replication", "master_replid"))
		require.Equal(t, "open", l.master.HGet(ctx, "fc:{"+s.tag+"}:gate", "st").Val(), "with a gate that looks open")
		l.way.Heal()
		l.copying.Heal()
	}, nil)
	require.GreaterOrEqual(t, l.epoch(t, s), int64(2))

	l.replica.follow(t, l.copying.Addr())
	s, _ = l.fault(t, "a lagging replica takes over from a dead master", func(s *sale) {
		lag(s)
		require.NoError(t, l.master.Kill())
		l.replica.lead(t)
		require.Equal(t, "open", l.replica.HGet(ctx, "fc:{"+s.tag+"}:gate", "st").Val(), "with a gate that looks open")
		l.way.SetTarget(l.replica.Addr())
	}, nil)
	require.GreaterOrEqual(t, l.epoch(t, s), int64(2))
	l.rest(t)
}

// Behind a sentinel nobody has to lead the clients anywhere.
func TestASentinelPromotesAReplica(t *testing.T) {
	t.Parallel()
	l := &lab{master: newNode(t, "--repl-diskless-sync-delay", "0"), replica: newNode(t)}
	l.replica.follow(t, l.master.Addr())
	host, port, _ := strings.Cut(l.master.Addr(), ":")
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor sale %s %s 1\nsentinel down-after-milliseconds sale 500\n", host, port)
	require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
	sentinel := stack.Own(t)(servers.NewRedisSentinel(filepath.Join(t.TempDir(), "sentinel"), conf))
	watcher := redis.NewClient(&redis.Options{Addr: sentinel.Addr()})
	t.Cleanup(func() { require.NoError(t, watcher.Close()) })
	l.Stack = stack.Start(t, stack.Real, stack.Options{
		Redis: sentinel.Addr(), Env: []string{"FIRSTCOME_REDIS_MODE=sentinel", "FIRSTCOME_REDIS_MASTER_NAME=sale", oneReplica},
	})
	stack.Eventually(t, time.Minute, func() bool { // it looks for replicas every ten seconds
		replicas, err := watcher.Do(t.Context(), "sentinel", "replicas", "sale").Slice()
		return err == nil && len(replicas) == 1
	}, "the sentinel knows the replica")
	s, _ := l.fault(t, "sentinel: the master is killed", func(*sale) { require.NoError(t, l.master.Kill()) }, nil)
	require.GreaterOrEqual(t, l.epoch(t, s), int64(2))
	require.Equal(t, "master", l.replica.field(t, "replication", "role"))
	l.rest(t)
}

// In a cluster the node with the gate stops, and its replica takes over. Coupons on other nodes are served all the time.
func TestTheNodeOfAClusterThatOwnsTheGateStops(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t)
	addrs := make([]string, len(nodes))
	for i, n := range nodes {
		addrs[i] = n.Addr()
	}
	l := &lab{Stack: stack.Start(t, stack.Real, stack.Options{
		Redis: strings.Join(addrs[:3], ","), Env: []string{"FIRSTCOME_REDIS_MODE=cluster", oneReplica},
	})}
	owner := func(coupon int64) string {
		n, err := l.Redis.(*redis.ClusterClient).MasterForKey(t.Context(), fmt.Sprintf("fc:{c%d}:gate", coupon))
		require.NoError(t, err)
		return n.Options().Addr
	}
	stack.Eventually(t, drainWithin, func() bool { // ids are the apis' choice
		l.bystander = l.Coupon(t, map[string]any{"total_quantity": 1_000_000})
		return owner(l.bystander) != nodes[0].Addr()
	}, "a coupon on another node")
	l.undisturbed(t, "a node stops", func() {
		for {
			s, _, tried := l.faultIf(t, "cluster: the owner of the gate is stopped (SIGSTOP)", func(s *sale) bool {
				if owner(s.coupon) != nodes[0].Addr() {
					return false
				}
				require.NoError(t, nodes[0].Pause())
				return true
			}, nil)
			if tried {
				require.GreaterOrEqual(t, l.epoch(t, s), int64(2))
				break
			}
		}
	})
	require.NoError(t, nodes[0].Resume())
	l.rest(t)
}

// newCluster is three masters and a replica of the first.
func newCluster(t *testing.T) []*node {
	t.Helper()
	ctx := t.Context()
	nodes := make([]*node, 4)
	for i := range nodes {
		nodes[i] = newNode(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--cluster-require-full-coverage", "no",
			"--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0")
	}
	const slots = 16384
	for i, n := range nodes[:3] {
		require.NoError(t, n.ClusterAddSlotsRange(ctx, slots*i/3, slots*(i+1)/3-1).Err())
		require.NoError(t, n.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
	}
	host, port, _ := strings.Cut(nodes[0].Addr(), ":")
	for _, n := range nodes[1:] {
		require.NoError(t, n.Do(ctx, "cluster", "meet", host, port, nodes[0].Bus()).Err())
	}
	id := nodes[0].ClusterMyID(ctx).Val()
	stack.Eventually(t, time.Minute, func() bool { return nodes[3].ClusterReplicate(ctx, id).Err() == nil }, "the replica knows its master")
	stack.Eventually(t, time.Minute, func() bool {
		for _, n := range nodes {
			if !strings.Contains(n.ClusterInfo(ctx).Val(), "cluster_known_nodes:4") || !strings.Contains(n.ClusterInfo(ctx).Val(), "cluster_state:ok") {
				return false
			}
		}
		return nodes[3].field(t, "replication", "master_link_status") == "up"
	}, "the cluster is whole")
	return nodes
}
