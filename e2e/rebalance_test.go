package e2e

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firstcome/firstcome/e2e/servers"
	"github.com/firstcome/firstcome/e2e/stack"
)

// offsetWatch looks at the offsets that a group has committed, ten times a second, and keeps each step back.
type offsetWatch struct {
	admin *kadm.Client
	group string
	topic string

	mu    sync.Mutex
	most  map[int32]int64
	looks int
	back  []string
}

func watchOffsets(t *testing.T, s *stack.Stack) *offsetWatch {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...))
	require.NoError(t, err)
	w := &offsetWatch{admin: kadm.NewClient(client), group: s.Group, topic: s.Topic, most: map[int32]int64{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-done
		client.Close()
	})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			w.look(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return w
}

func (w *offsetWatch) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	offsets, err := w.admin.FetchOffsets(ctx, w.group)
	if err != nil || offsets.Error() != nil {
		return // the coordinator is away; the next look tells
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	for partition, o := range offsets[w.topic] {
		if o.At < w.most[partition] {
			w.back = append(w.back, fmt.Sprintf("partition %d from %d to %d", partition, w.most[partition], o.At))
		}
		w.most[partition] = max(w.most[partition], o.At)
	}
}

// atEnds says whether everything is committed up to the ends of the log, and never was anything taken back.
func (w *offsetWatch) atEnds(t *testing.T) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ends, err := w.admin.ListEndOffsets(ctx, w.topic)
	if err != nil || ends.Error() != nil {
		return false
	}
	want := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			want[o.Partition] = o.Offset
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(t, w.back, "offsets went back")
	require.Positive(t, w.looks)
	return maps.Equal(want, w.most)
}

// group is a stack whose consumer is joined by a second one that falls asleep at a point.
type group struct {
	*stack.Stack
	coupon   int64
	users    int
	promises *promises
	offsets  *offsetWatch
	sleeper  *stack.Proc
}

// joined begins with one consumer that has written something, and lets the second join.
func joined(t *testing.T, o stack.Options, point string) *group {
	t.Helper()
	needPoints(t)
	o.Consumers = 1
	s := stack.Start(t, stack.Real, o)
	g := &group{
		Stack: s, coupon: s.Coupon(t, map[string]any{"total_quantity": groupPlaces}),
		promises: &promises{kept: map[string]stack.Receipt{}},
	}
	g.claim(t, 24)
	g.written(t)
	g.offsets = watchOffsets(t, s)
	g.sleeper = s.Doomed(t, "consumer", nil, point+":1:stop")
	return g
}

const groupPlaces = 5000

// claim has so many more users claim until each is promised a place.
func (g *group) claim(t *testing.T, users int) {
	t.Helper()
	var all sync.WaitGroup
	for range users {
		g.users++
		n, user := g.users, fmt.Sprintf("g-%d", g.users)
		all.Go(func() {
			for began := time.Now(); time.Since(began) < drainWithin; <-time.After(50 * time.Millisecond) {
				a, err := g.Claim(t.Context(), n, g.coupon, user)
				if err == nil && a.Accepted() {
					g.promises.note(t, user, a)
					return
				}
			}
			t.Errorf("%s is not served", user)
		})
	}
	all.Wait()
}

// falls has users claim until the second consumer, which has about half of the partitions, sleeps at its point.
func (g *group) falls(t *testing.T) {
	t.Helper()
	for began := time.Now(); !g.sleeper.Sleeps(); {
		require.Less(t, time.Since(began), 2*drainWithin, "the second consumer does not come to its point:\n%s", g.sleeper.Log())
		g.claim(t, 6)
	}
}

// written waits until everybody who was promised a place has a row.
func (g *group) written(t *testing.T) {
	t.Helper()
	stack.Eventually(t, 2*drainWithin, func() bool {
		return g.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", g.coupon) == int64(g.users)
	}, "everybody has a row")
}

// rest lets everything come to rest and judges it.
func (g *group) rest(t *testing.T) {
	t.Helper()
	g.written(t)
	stack.Eventually(t, 2*drainWithin, func() bool { return g.offsets.atEnds(t) }, "all is committed")
	g.promises.judge(t, g.Stack, g.coupon, groupPlaces)
	require.EqualValues(t, g.users, g.Count(t, "SELECT COUNT(*) FROM issues"), "a row each")
	require.EqualValues(t, g.users, g.Count(t, "SELECT issued_count FROM coupons WHERE id = ?", g.coupon), "counted once")
	require.Zero(t, g.Count(t, "SELECT COUNT(*) FROM failed_events"))
	require.Empty(t, g.Verify(t, "30s").Findings)
}

// One of two consumers falls asleep with a batch in its hands: read, written and not committed, or committed and not marked.
// The group gives its partitions to the other, a gate is lost and rebuilt meanwhile, and the sale goes on. When it wakes up,
// believing that all is its own, it writes nothing twice and takes no offset back.
func TestAConsumerThatWakesUpAfterARebalanceChangesNothing(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"consume.read", "consume.written", "consume.committed"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			g := joined(t, stack.Options{}, point)
			g.falls(t)
			asleep := time.Now()
			g.claim(t, 24) // behind what it has in hand
			g.written(t)   // by the other one, which has its partitions now
			taken := time.Since(asleep)

			// Rule 20: a barrier is stored while it sleeps, and what it has in hand is of the epoch before.
			require.NoError(t, g.Redis.FlushDB(t.Context()).Err())
			g.claim(t, 24)
			g.written(t)
			require.Greater(t, g.Count(t, "SELECT epoch FROM gates WHERE tag = ?", tagOf(g.coupon)), int64(1))
			stack.Eventually(t, drainWithin, func() bool { return g.offsets.atEnds(t) }, "the other one has committed all")

			left := strings.Count(g.sleeper.Log(), "left the session")
			g.sleeper.Wake(t)
			stack.Eventually(t, drainWithin, func() bool {
				_, after, _ := strings.Cut(g.sleeper.Log(), "left the session")
				return strings.Count(g.sleeper.Log(), "left the session") > left && strings.Contains(after, "joined the group")
			}, "it notices, and joins again")
			g.claim(t, 24)
			g.rest(t)
			t.Logf("its partitions were another's %v after it fell asleep", taken.Round(time.Millisecond))
		})
	}
}

// The broker that keeps the group's offsets dies while a consumer is in the middle of its transaction. It commits the rows and
// cannot say so to anybody; when the broker is back, they are duplicates or marked, and nothing is doubled or taken back.
func TestTheGroupsCoordinatorDiesInTheMiddleOfATransaction(t *testing.T) {
	t.Parallel()
	kafka := stack.Own(t)(servers.NewKafka(filepath.Join(t.TempDir(), "kafka"), servers.KafkaOptions{}))
	g := joined(t, stack.Options{Kafka: kafka.Addr()}, "consume.written")
	g.falls(t)
	before := g.Count(t, "SELECT COUNT(*) FROM issues")
	require.NoError(t, kafka.Kill())
	g.sleeper.Wake(t)
	stack.Eventually(t, drainWithin, func() bool {
		return g.Count(t, "SELECT COUNT(*) FROM issues") > before || strings.Contains(g.sleeper.Log(), "connection")
	}, "it goes on with its transaction: the rows are committed, or the database gave up waiting for it")
	committed := g.Count(t, "SELECT COUNT(*) FROM issues") - before
	require.NoError(t, kafka.Start(t.Context()))
	g.claim(t, 24)
	g.rest(t)
	t.Logf("%d rows were committed meanwhile", committed)
}
