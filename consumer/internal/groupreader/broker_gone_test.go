package groupreader

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestABrokerThatGoesAndComesBack(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), freePort(t)
	start := func() *kfake.Cluster {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir))
		require.NoError(t, err)
		return c
	}
	cluster := start()
	cfg := made(t, cluster.ListenAddrs(), 2)
	b := newBook()
	m := run(t, cfg, b)
	produce(t, cfg, 0, goods(100)...)
	eventually(t, "written", func() bool { return b.count() == 100 })

	cluster.Close()
	eventually(t, "readiness says so", func() bool {
		err := m.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "is it running")
	})
	require.NoError(t, m.Live(t.Context()), "a new start would not help")

	cluster = start()
	defer cluster.Close()
	produce(t, cfg, 0, good(100))
	produce(t, cfg, 1, goods(100)...)
	all := func(p int32) []int64 {
		offsets := b.offsets(p)
		slices.Sort(offsets)
		return slices.Compact(offsets)
	}
	eventually(t, "goes on by itself", func() bool { return len(all(0)) == 101 && len(all(1)) == 100 })
	m.stop()
	assert.Equal(t, map[int32]int64{0: 101, 1: 100}, committed(t, cfg))
}

func TestALeaderThatMoves(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3))
	cfg := made(t, cluster.ListenAddrs(), 1)
	b := newBook()
	m := run(t, cfg, b)
	for n := range 6 {
		require.NoError(t, cluster.MoveTopicPartition(cfg.Topic, 0, int32(n%3)))
		produce(t, cfg, 0, goods(50)...)
		eventually(t, "written", func() bool { return b.count() == 50*(n+1) })
	}
	assert.Equal(t, upTo(300), b.offsets(0))
	m.stop()
	assert.Equal(t, map[int32]int64{0: 300}, committed(t, cfg))
}

// A commit that the broker refuses must not be taken for done, and one that it has applied all the same does no harm.
func TestACommitThatFailsIsRepeated(t *testing.T) {
	t.Parallel()
	for _, answer := range []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.RequestTimedOut} {
		t.Run(answer.Message, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t)
			cfg := made(t, cluster.ListenAddrs(), 1)
			faults := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: answer, Count: 3})
			b := newBook()
			m := run(t, cfg, b)
			produce(t, cfg, 0, goods(10)...)
			eventually(t, "written", func() bool { return b.count() >= 10 })
			eventually(t, "refused three times", func() bool { return faults.Hits() >= 3 })
			eventually(t, "committed all the same", func() bool { return committed(t, cfg)[0] == 10 })
			m.stop()
			assert.Equal(t, upTo(10), b.offsets(0))
		})
	}
}

// freePort is one that nobody held a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return n
}
