package admission_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// soldOut is a gate all of whose coupons are sold out to so many holders each, who are called <coupon>-<number>.
type soldOut struct {
	holders  int64        // at the beginning
	grown    atomic.Int64 // that many now, if not 0
	looks    atomic.Int64
	down     atomic.Bool
	open     atomic.Bool // it gives places
	restless atomic.Bool // the members of its event change from look to look
}

func (g *soldOut) count() int64 {
	if n := g.grown.Load(); n > 0 {
		return n
	}
	return g.holders
}

func (g *soldOut) Views(_ context.Context, refs []coupon.Ref) []coupon.ViewAnswer {
	look := g.looks.Add(1)
	answers := make([]coupon.ViewAnswer, len(refs))
	holders := g.count()
	for i := range refs {
		if g.down.Load() {
			answers[i].Err = context.DeadlineExceeded
			continue
		}
		answers[i].View = coupon.View{
			Terms: coupon.Terms{Total: &holders, State: coupon.StateOpen, ClosesAt: time.Now().Add(time.Hour)},
			Taken: holders, Epoch: 1, Generation: 1, Now: time.Now(),
		}
		if g.restless.Load() {
			answers[i].View.Members = look
		}
		if g.open.Load() {
			answers[i].View.Total = nil
		}
	}
	return answers
}

func (g *soldOut) EachName(_ context.Context, ref coupon.Ref, each func(string)) error {
	name := strconv.AppendInt(nil, ref.CouponID, 10)
	name = append(name, '-')
	for n := range g.count() {
		each(string(strconv.AppendInt(name[:len(name):len(name)], n, 10)))
	}
	return nil
}

func refOf(id int64) coupon.Ref {
	return coupon.Ref{Tag: coupon.TagOf(id, 0), CouponID: id, PerUserLimit: 1}
}

// clocks are both clocks of a machine, in a test's hands.
type clocks struct {
	mu sync.Mutex
	at admission.Instant
}

func (c *clocks) now() admission.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clocks) move(mono, wall time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at.Mono += mono
	c.at.Wall = c.at.Wall.Add(wall)
}

// start runs a memory until the test ends. M is so long that no slow machine outlives it.
func start(t testing.TB, deps admission.MemoryDeps) (*admission.Memory, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	deps.Log, deps.Registerer = slog.New(slog.DiscardHandler), registry
	if deps.TTL == 0 {
		deps.TTL = time.Hour
	}
	m := admission.NewMemory(deps)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = m.Run(ctx) }) // nil, always
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
	return m, registry
}

// learn has the memory learn a coupon as refusals of the gate do, and waits for it.
func learn(t testing.TB, m *admission.Memory, ref coupon.Ref) {
	t.Helper()
	for tries := 0; ; tries++ {
		// Always another loser: the filter takes one in a thousand for a holder, and always the same ones.
		if _, refused := m.Refuse(ref, fmt.Sprint("loser-", tries)); refused {
			return
		}
		require.Less(t, tries, 5_000_000, "coupon %d is not learned", ref.CouponID)
		m.Met(ref, coupon.SoldOut)
		runtime.Gosched()
	}
}

func TestMemoryTellsWinnersFromLosers(t *testing.T) {
	t.Parallel()
	const holders, losers = 2000, 100_000
	gate := &soldOut{holders: holders}
	m, _ := start(t, admission.MemoryDeps{Gate: gate})
	learn(t, m, refOf(7))
	for n := range holders {
		_, refused := m.Refuse(refOf(7), fmt.Sprint("7-", n))
		require.False(t, refused, "holder %d was refused without asking the gate", n)
	}
	asked := 0
	for n := range losers {
		if out, refused := m.Refuse(refOf(7), fmt.Sprint("loser-", n)); !refused {
			asked++
		} else {
			require.Equal(t, coupon.SoldOut, out.Verdict)
		}
	}
	require.Less(t, asked, losers/500, "the filter takes 1 in 1,000 losers for a holder, not more than 1 in 500")
	t.Logf("%d of %d losers went to the gate", asked, losers)
}

// A machine that was suspended: its monotonic clock stood still. One whose wall clock was set back: that one went back.
func TestMemoryEndsByEitherClock(t *testing.T) {
	t.Parallel()
	for name, move := range map[string][2]time.Duration{
		"both clocks go on":                         {time.Minute, time.Minute},
		"the monotonic clock stood still":           {0, time.Minute},
		"the wall clock was set back":               {time.Minute, -time.Hour},
		"the wall clock was set back a little only": {0, -time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate, machine := &soldOut{holders: 3}, &clocks{at: admission.Instant{Mono: time.Hour, Wall: time.Now()}}
			m, _ := start(t, admission.MemoryDeps{Gate: gate, TTL: time.Minute, Clock: machine.now})
			learn(t, m, refOf(7))
			gate.down.Store(true)
			machine.move(move[0], move[1])
			_, refused := m.Refuse(refOf(7), "a-loser")
			require.False(t, refused)
		})
	}
}

func TestMemoryEndsWhenTheGateCannotBeSeen(t *testing.T) {
	t.Parallel()
	gate := &soldOut{holders: 3}
	machine := &clocks{at: admission.Instant{Mono: time.Hour, Wall: time.Now()}}
	m, _ := start(t, admission.MemoryDeps{Gate: gate, TTL: time.Minute, Clock: machine.now})
	learn(t, m, refOf(7))
	gate.down.Store(true)
	machine.move(40*time.Second, 40*time.Second) // still good, and old enough to be looked at again
	_, refused := m.Refuse(refOf(7), "a-loser")
	require.True(t, refused)
	require.Eventually(t, func() bool {
		_, refused := m.Refuse(refOf(7), "a-loser")
		return !refused
	}, 30*time.Second, time.Millisecond)
	gate.down.Store(false)
	learn(t, m, refOf(7))
}

// The bound holds whatever is sold out; who was asked for lately stays.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	gate := &soldOut{holders: 1000}
	const room = 20 << 10 // for 17 filters of 1.2 kB
	m, registry := start(t, admission.MemoryDeps{Gate: gate, Bytes: room})
	for id := range int64(60) {
		learn(t, m, refOf(1+id))
		_, refused := m.Refuse(refOf(1), "a-loser")
		require.True(t, refused, "the coupon that everybody asks for was forgotten for coupon %d", 1+id)
	}
	require.LessOrEqual(t, gauge(t, registry, "firstcome_admission_memory_bytes"), float64(room))
	require.Greater(t, gauge(t, registry, "firstcome_admission_memory_bytes"), float64(room)/2)

	gate.grown.Store(100_000)
	for range 100 {
		m.Met(refOf(99), coupon.SoldOut)
	}
	require.Eventually(t, func() bool {
		return gauge(t, registry, "firstcome_admission_memory_too_large_total") > 0
	}, 30*time.Second, time.Millisecond)
	_, refused := m.Refuse(refOf(99), "a-loser")
	require.False(t, refused, "a coupon with more holders than there is room for is the gate's alone")
}

// A coupon that gives places again takes no room.
func TestMemoryLetsGoOfWhatIsOpenAgain(t *testing.T) {
	t.Parallel()
	gate, machine := &soldOut{holders: 1000}, &clocks{at: admission.Instant{Mono: time.Hour, Wall: time.Now()}}
	m, registry := start(t, admission.MemoryDeps{Gate: gate, TTL: time.Minute, Clock: machine.now})
	learn(t, m, refOf(7))
	require.Positive(t, gauge(t, registry, "firstcome_admission_memory_bytes"))
	gate.open.Store(true)
	machine.move(time.Minute, time.Minute)
	require.Eventually(t, func() bool {
		m.Refuse(refOf(7), "a-loser")
		return gauge(t, registry, "firstcome_admission_memory_bytes") == 0
	}, 30*time.Second, time.Millisecond)
}

// While the members of an event change nothing can be learned, and the gate is not looked at for each claim.
func TestMemoryDoesNotLookForEachClaim(t *testing.T) {
	t.Parallel()
	gate, machine := &soldOut{holders: 3}, &clocks{at: admission.Instant{Mono: time.Hour, Wall: time.Now()}}
	gate.restless.Store(true)
	m, _ := start(t, admission.MemoryDeps{Gate: gate, TTL: time.Minute, Clock: machine.now})
	require.Eventually(t, func() bool {
		m.Met(refOf(7), coupon.SoldOut)
		return gate.looks.Load() >= 2 // before and after the reading
	}, 30*time.Second, time.Millisecond)
	for range 10_000 {
		m.Met(refOf(7), coupon.SoldOut)
		runtime.Gosched()
	}
	require.LessOrEqual(t, gate.looks.Load(), int64(4), "more than the reading needs, and one under way at its end")
}

// Losers leave nothing behind, however many and whatever they are called.
func TestLosersFillNoMemory(t *testing.T) { // counts allocations, so that nothing runs beside it
	gate := &soldOut{holders: 1000}
	m, registry := start(t, admission.MemoryDeps{Gate: gate})
	learn(t, m, refOf(7))
	series := testutil.CollectAndCount(registry)
	allocated := testing.AllocsPerRun(10_000, func() { m.Refuse(refOf(7), "one-more-loser") })
	require.LessOrEqual(t, allocated, 1.0, "the filter copies the name")
	require.EqualValues(t, 1, gauge(t, registry, "firstcome_admission_memory_coupons"))
	require.Equal(t, series, testutil.CollectAndCount(registry))
}

// BenchmarkMemory10MHolders: 10,000 sold-out coupons with 1,000 holders each. It reports the heap that they take and what a
// refusal costs.
func BenchmarkMemory10MHolders(b *testing.B) {
	const coupons, holders = 10_000, 1000
	m, _ := start(b, admission.MemoryDeps{Gate: &soldOut{holders: holders}})
	before := heap()
	for id := range int64(coupons) {
		learn(b, m, refOf(1+id))
	}
	taken := heap() - before
	b.ResetTimer()
	for i := range b.N {
		m.Refuse(refOf(int64(1+i%coupons)), "a-loser")
	}
	b.ReportMetric(float64(taken)/coupons/holders, "B/holder")
	b.ReportMetric(float64(taken)/(1<<20), "MiB")
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
