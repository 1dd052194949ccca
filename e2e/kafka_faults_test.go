package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/servers"
	"github.com/firstcome/firstcome/e2e/stack"
)

// broken is one way in which the journal fails, and how it ends.
type broken struct {
	name string
	hurt func(t *testing.T)
	heal func(t *testing.T)
	// shut says that nobody can be promised anything meanwhile. Else some are: a slow journal, or the leaders that are left.
	shut bool
	// killed is the api that decided while it lasted, and dies before the end; -1: none.
	killed int
}

// kafkaLab is a stack on a Kafka of the test's own with one capped coupon.
type kafkaLab struct {
	*stack.Stack
	coupon   int64
	promises *promises
}

const (
	kafkaPlaces = 5000
	// A claim is answered within this, whatever the brokers do; the answer timeout is 2 s, the rest is a busy machine.
	answeredWithin = 25 * time.Second
	duringFault    = 24 // users who claim while it lasts: with 12 partitions, of most of them
)

func newKafkaLab(t *testing.T, o stack.Options) *kafkaLab {
	t.Helper()
	s := stack.Start(t, stack.Real, o)
	return &kafkaLab{
		Stack: s, coupon: s.Coupon(t, map[string]any{"total_quantity": kafkaPlaces}),
		promises: &promises{kept: map[string]stack.Receipt{}},
	}
}

// meets has users claim before, during and after a fault. Those who claimed meanwhile and were not answered keep their
// places: half of them never ask again, and their rows come all the same.
func (l *kafkaLab) meets(t *testing.T, b broken) {
	t.Helper()
	l.crowd(t, b.name+"-before", 0)
	b.hurt(t)
	began := time.Now()
	l.crowd(t, b.name, max(b.killed, 0))
	took := time.Since(began)
	require.Less(t, took, answeredWithin, "%s: every claim is answered in time", b.name)
	promised := 0
	for i := range duringFault {
		if _, ok := l.promises.kept[user(b.name, i)]; ok {
			promised++
		}
	}
	if b.shut {
		require.Zero(t, promised, "%s: a promise without a journal", b.name)
		l.held(t, b.name)
	}
	if b.killed >= 0 {
		l.Stack.Proc(t, l.APIs[b.killed]).Kill(t)
	}
	b.heal(t)
	healed := time.Now()
	alive := b.killed + 1 // another than the one that died
	stack.Eventually(t, drainWithin, func() bool {
		l.promises.ask(t, l.Stack, alive, l.coupon, user(b.name+"-after", 0))
		_, has := l.promises.kept[user(b.name+"-after", 0)]
		return has
	}, "%s: claims are taken again", b.name)
	again := time.Since(healed)
	rows := func() int64 {
		return l.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ? AND user_id LIKE ?", l.coupon, b.name+"-u%")
	}
	stack.Eventually(t, drainWithin, func() bool { return rows() == duringFault }, "%s: every place that was kept becomes a row", b.name)
	t.Logf("%-24s %2d of %d promised meanwhile; after its end: a claim after %v, all rows after %v", b.name, promised, duringFault,
		again.Round(time.Millisecond), time.Since(healed).Round(time.Millisecond))
	for i := range duringFault { // who asks now hears the number of the row
		if i%2 == 0 {
			l.promises.ask(t, l.Stack, alive, l.coupon, user(b.name, i))
		}
	}
}

func user(prefix string, i int) string { return fmt.Sprintf("%s-u%d", prefix, i) }

// crowd has users claim once at the same time at one api; what they hear is kept.
func (l *kafkaLab) crowd(t *testing.T, prefix string, api int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range duringFault {
		all.Go(func() {
			a, err := l.Claim(t.Context(), api, l.coupon, user(prefix, i))
			if err != nil || (!a.Accepted() && a.Status != http.StatusServiceUnavailable) {
				t.Errorf("%s: neither promised nor asked to repeat: %d %s %v", prefix, a.Status, a.Body, err)
				return
			}
			if a.Accepted() {
				r := a.Receipt(t)
				l.promises.mu.Lock()
				defer l.promises.mu.Unlock()
				l.promises.kept[user(prefix, i)] = r
			}
		})
	}
	all.Wait()
}

// held sees that the gate has a pending place for each of the users.
func (l *kafkaLab) held(t *testing.T, prefix string) {
	t.Helper()
	pending, err := l.Redis.ZRange(t.Context(), fmt.Sprintf("fc:{c%d}:pending:%d", l.coupon, l.coupon), 0, -1).Result()
	require.NoError(t, err)
	n := 0
	for _, p := range pending {
		if strings.HasPrefix(p, prefix+"-u") {
			n++
		}
	}
	require.Equal(t, duringFault, n, "%s: the places are kept", prefix)
}

// judge lets everything come to rest: nothing pending, one row and one number a user, promises, rows and gate agree.
func (l *kafkaLab) judge(t *testing.T, users int64) {
	t.Helper()
	stack.Eventually(t, drainWithin, func() bool {
		n, err := l.Redis.ZCard(t.Context(), fmt.Sprintf("fc:{c%d}:pending:%d", l.coupon, l.coupon)).Result()
		return err == nil && n == 0
	}, "nothing stays pending")
	l.promises.judge(t, l.Stack, l.coupon, kafkaPlaces)
	require.Equal(t, users, l.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", l.coupon), "a row for everybody who claimed")
	require.Equal(t, users, l.Count(t, "SELECT COUNT(DISTINCT seq) FROM issues WHERE coupon_id = ?", l.coupon), "a number each")
	require.Zero(t, l.Count(t, "SELECT COUNT(*) FROM failed_events"), "nothing failed")
}

// One broker fails in every way that a network and a process can fail; the last time the api that decided dies as well,
// and the other sweeps.
func TestWhateverHappensToKafkaThePlacesAreKept(t *testing.T) {
	t.Parallel()
	way := newProxy(t, "127.0.0.1:1")
	kafka := stack.Own(t)(servers.NewKafka(filepath.Join(t.TempDir(), "kafka"), servers.KafkaOptions{Advertised: []string{way.Addr()}}))
	way.SetTarget(kafka.Listener(0))
	l := newKafkaLab(t, stack.Options{Kafka: way.Addr()})
	spoilt := func(by func()) func(*testing.T) { return func(*testing.T) { by() } }
	healed := func(t *testing.T) {
		t.Helper()
		require.Positive(t, way.Affected(), "the fault took no effect")
		way.Heal()
	}
	ways := []broken{
		{name: "slow", hurt: spoilt(func() { way.Delay(300 * time.Millisecond) }), heal: healed, killed: -1},
		{name: "silent", hurt: spoilt(way.Stall), heal: healed, shut: true, killed: -1},
		{name: "error-but-applied", hurt: spoilt(way.DropReplies), heal: healed, shut: true, killed: -1},
		{
			name: "killed", hurt: func(t *testing.T) { t.Helper(); require.NoError(t, kafka.Kill()) },
			heal: func(t *testing.T) { t.Helper(); require.NoError(t, kafka.Start(t.Context())) }, shut: true, killed: -1,
		},
		{name: "unreachable-api-dies", hurt: spoilt(way.Cut), heal: healed, shut: true, killed: 0},
	}
	for _, b := range ways {
		l.meets(t, b)
	}
	l.judge(t, int64(len(ways))*(2*duringFault+1))
}
