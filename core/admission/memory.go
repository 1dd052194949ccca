package admission

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bits-and-blooms/bloom/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	// falsePositives is how often the filter takes a loser for somebody who may have a place, and the gate is asked: 1 in
	// 1,000, for 14.4 bits a holder. A question costs as much as four refusals: 1 in 100, for 9.6 bits, takes 4 % of the api.
	falsePositives = 0.001
	// DefaultMemoryBytes bounds the filters of an api: 37 million holders.
	DefaultMemoryBytes = 64 << 20
	// memoryCoupons bounds the coupons that are remembered, with or without a filter, about 500 bytes each: 32 MiB.
	memoryCoupons = 1 << 16
	// refusalsToLearn is how many refusals of the gate make it worth reading a coupon's holders.
	refusalsToLearn = 8
	// evictionSample is how many coupons are looked at for one that was asked for long ago.
	evictionSample = 32
)

// Looker is what the memory asks a gate.
type Looker interface {
	Views(ctx context.Context, refs []coupon.Ref) []coupon.ViewAnswer
	// EachName names everybody who has a place at the coupon, or for a coupon that uses up a place in its event, every
	// member; who is there from the beginning to the end of the call is named at least once.
	EachName(ctx context.Context, ref coupon.Ref, each func(userID string)) error
}

// Instant is a reading of both clocks of a machine: a suspended one's monotonic clock stands still, and its wall clock may
// be set back.
type Instant struct {
	Mono time.Duration // since some moment
	Wall time.Time
}

// MemoryDeps is what a memory works with. Gate, TTL, Log and Registerer are needed.
type MemoryDeps struct {
	Gate       Looker
	TTL        time.Duration // M: how long a look at the gate is good for; all processes have the same
	Bytes      int64         // bound of the filters; 0 is DefaultMemoryBytes
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() Instant // nil: this machine's
}

// Memory refuses claims on coupons that are sold out, closed, paused or not open yet, without asking the gate (rule 10).
// Who may have a place is not refused by it: those go to the gate.
//
// It holds for at most M after the last look at the gate began. M is how long a gate waits before it gives what was
// refused: a rebuilt gate after its mark (rule 25), a raise or reopening after it was announced (rule 27). So no announcement has to
// arrive anywhere: who looks at an older state than M refuses nobody.
//
// Cost: 1.8 bytes a holder, about 500 bytes a coupon, both bounded; nothing is kept of who was refused.
type Memory struct {
	deps    MemoryDeps
	metrics *memoryMetrics

	mu      sync.RWMutex
	coupons map[int64]*remembered
	bytes   int64 // of all filters

	wanted chan *remembered
}

// remembered is one coupon.
type remembered struct {
	ref     atomic.Pointer[coupon.Ref]
	state   atomic.Pointer[looked] // nil: nothing is known, or not for sure
	asked   atomic.Int64           // Instant.Mono of the last claim
	refused atomic.Int32           // by the gate, until there is a filter
	queued  atomic.Bool            // it is among the wanted

	learning atomic.Bool
	retry    atomic.Int64 // Instant.Mono before which its holders are not read again
	bytes    int64        // of its filter; under Memory.mu
}

// looked is what a look at the gate has shown, and who may have a place. It never changes.
type looked struct {
	at     Instant // before the look
	view   coupon.View
	filter *bloom.BloomFilter
}

// NewMemory makes an empty memory; Run fills it.
func NewMemory(deps MemoryDeps) *Memory {
	if deps.Bytes <= 0 {
		deps.Bytes = DefaultMemoryBytes
	}
	if deps.Clock == nil {
		began := time.Now()
		deps.Clock = func() Instant {
			now := time.Now()
			return Instant{Mono: now.Sub(began), Wall: now.Round(0)}
		}
	}
	return &Memory{
		deps: deps, metrics: newMemoryMetrics(deps.Registerer), coupons: map[int64]*remembered{},
		// A claim that finds it full leaves its coupon to the next one.
		wanted: make(chan *remembered, looksTogether*4),
	}
}

// refuse answers a claim from memory; false: ask the gate.
func (m *Memory) refuse(ref coupon.Ref, userID string) (Outcome, bool) {
	m.mu.RLock()
	r := m.coupons[ref.CouponID]
	m.mu.RUnlock()
	if r == nil {
		return Outcome{}, false
	}
	now := m.deps.Clock()
	r.asked.Store(int64(now.Mono))
	s := r.state.Load()
	if s == nil {
		return Outcome{}, false
	}
	age, good := s.age(now, m.deps.TTL)
	if !good || age > m.deps.TTL/2 {
		m.want(r, ref)
	}
	if !good {
		return Outcome{}, false
	}
	at := s.view.Now.Add(age) // not before the true time of the gate's clock, since the look began before the gate read it
	if s.view.Now.Before(s.view.OpensAt) && !at.Before(s.view.OpensAt) {
		return Outcome{}, false // it has opened by itself: no generation tells of that, and there may be holders by now
	}
	if s.filter.TestString(userID) {
		m.metrics.asked.Inc()
		return Outcome{}, false
	}
	m.metrics.refused.Inc()
	return Outcome{Decision: Decision{Verdict: verdictOf(s.view, at)}, Now: at, OpensAt: s.view.OpensAt}, true
}

// age is how long ago the look began, and whether it is still good, by the monotonic clock and by the wall clock.
func (s *looked) age(now Instant, ttl time.Duration) (time.Duration, bool) {
	mono, wall := now.Mono-s.at.Mono, now.Wall.Sub(s.at.Wall)
	return mono, mono >= 0 && mono < ttl && wall >= 0 && wall < ttl
}

// verdictOf is the refusal that holds for everybody without a place, in the order of rule 3; 0: there is none.
func verdictOf(v coupon.View, now time.Time) coupon.Verdict {
	switch v.Shown(now, v.Taken) {
	case coupon.ShownClosed:
		return coupon.Closed
	case coupon.ShownScheduled:
		return coupon.NotOpen
	case coupon.ShownPaused:
		return coupon.Paused
	case coupon.ShownSoldOut:
		return coupon.SoldOut
	default:
		return 0
	}
}

// met tells the memory that the gate has refused a claim for a reason that may hold for everybody.
func (m *Memory) met(ref coupon.Ref, verdict coupon.Verdict) {
	switch verdict {
	case coupon.Closed, coupon.NotOpen, coupon.Paused, coupon.SoldOut:
	default:
		return
	}
	m.mu.RLock()
	r := m.coupons[ref.CouponID]
	m.mu.RUnlock()
	if r == nil {
		r = m.add(ref)
	}
	// While its holders may not be read again a look would only cost the gate a call a claim.
	if r.state.Load() == nil && r.refused.Add(1) >= refusalsToLearn && int64(m.deps.Clock().Mono) >= r.retry.Load() {
		m.want(r, ref)
	}
}

// want has the coupon looked at soon.
func (m *Memory) want(r *remembered, ref coupon.Ref) {
	if !r.queued.CompareAndSwap(false, true) {
		return
	}
	kept := ref // not ref itself, which would be on the heap for every claim
	r.ref.Store(&kept)
	select {
	case m.wanted <- r:
	default:
		r.queued.Store(false)
	}
}

func (m *Memory) add(ref coupon.Ref) *remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.coupons[ref.CouponID]; r != nil {
		return r
	}
	for len(m.coupons) >= memoryCoupons {
		m.evict(nil)
	}
	r := &remembered{}
	r.asked.Store(int64(m.deps.Clock().Mono))
	m.coupons[ref.CouponID] = r
	m.metrics.coupons.Set(float64(len(m.coupons)))
	return r
}

// keep gives the coupon its filter's room; false: it is more than there may ever be, or the coupon was forgotten.
func (m *Memory) keep(id int64, r *remembered, bytes int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if bytes > m.deps.Bytes || m.coupons[id] != r {
		return false
	}
	m.bytes += bytes - r.bytes
	r.bytes = bytes
	for m.bytes > m.deps.Bytes {
		m.evict(r)
	}
	m.metrics.bytes.Set(float64(m.bytes))
	return true
}

// evict forgets one of the coupons that nobody has asked for lately, but not spare; the lock is held, and there is
// another one than spare.
func (m *Memory) evict(spare *remembered) {
	oldest, victim, left := int64(math.MaxInt64), int64(0), evictionSample
	for id, r := range m.coupons { // in no order
		if r == spare {
			continue
		}
		if asked := r.asked.Load(); asked < oldest {
			oldest, victim = asked, id
		}
		if left--; left == 0 {
			break
		}
	}
	r := m.coupons[victim]
	delete(m.coupons, victim)
	m.bytes -= r.bytes
	r.bytes = 0
	r.state.Store(nil) // nobody finds it any more, but a look at it may be under way
	m.metrics.coupons.Set(float64(len(m.coupons)))
	m.metrics.bytes.Set(float64(m.bytes))
	m.metrics.evicted.Inc()
}
