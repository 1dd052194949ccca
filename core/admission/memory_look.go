package admission

import (
	"context"
	"time"

	"github.com/bits-and-blooms/bloom/v3"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	// looksTogether is how many coupons are looked at in one call to the gate.
	looksTogether = 256
	// looksTimeout bounds such a call; a look that takes longer than M is of no use.
	looksTimeout = time.Second
	// learners is how many coupons' holders are read at the same time; learnTimeout bounds one reading: 10,000,000 of them
	// take about 15 s.
	learners     = 2
	learnTimeout = 2 * time.Minute
	// learnPause is the least time between two readings of one coupon's holders, and learnShare how much longer than the
	// last reading took: whose members keep changing costs the gate a tenth of its time at most.
	learnPause = time.Second
	learnShare = 10
)

// Run looks at coupons that are asked for and learns their holders until ctx ends, and then returns nil. Run is called once.
func (m *Memory) Run(ctx context.Context) error {
	free := make(chan struct{}, learners)
	done := make(chan struct{}, learners)
	running := 0
	defer func() {
		for ; running > 0; running-- {
			<-done
		}
	}()
	var waiting []lesson
	for {
		var first *remembered
		select {
		case first = <-m.wanted:
		case <-done:
			running--
			<-free
		case <-ctx.Done():
			return nil
		}
		if first != nil {
			waiting = append(waiting, m.look(ctx, m.gather(first))...)
		}
		for len(waiting) > 0 && len(free) < learners {
			next := waiting[0]
			waiting = waiting[1:]
			free <- struct{}{}
			running++
			go func() {
				defer func() { done <- struct{}{} }()
				m.learn(ctx, next)
				next.of.learning.Store(false)
			}()
		}
	}
}

// lesson is a coupon whose holders are to be read, and what a look at it has just shown.
type lesson struct {
	of    *remembered
	ref   coupon.Ref
	shown looked
}

// gather takes what else is wanted by now.
func (m *Memory) gather(first *remembered) []*remembered {
	all := []*remembered{first}
	for len(all) < looksTogether {
		select {
		case r := <-m.wanted:
			all = append(all, r)
		default:
			return all
		}
	}
	return all
}

// look looks at coupons and returns those whose holders have to be read. What cannot be seen is forgotten at once.
func (m *Memory) look(ctx context.Context, all []*remembered) (unknown []lesson) {
	ctx, cancel := context.WithTimeout(ctx, looksTimeout)
	defer cancel()
	refs := make([]coupon.Ref, len(all))
	for i, r := range all {
		refs[i] = *r.ref.Load()
		r.queued.Store(false) // a claim from now on wants a look of its own
	}
	at := m.deps.Clock()
	answers := m.deps.Gate.Views(ctx, refs)
	for i, r := range all {
		now := looked{at: at, view: answers[i].View}
		refuses := refusesAll(answers[i])
		// What a reading of the holders stores meanwhile is left alone: it has a look of its own, good for M by itself.
		before := r.state.Load()
		if before != nil && refuses && before.knows(now) {
			now.filter = before.filter
			r.state.CompareAndSwap(before, &now)
			continue
		}
		if before != nil {
			r.state.CompareAndSwap(before, nil)
		}
		if !refuses {
			r.refused.Store(0)
			if !r.learning.Load() {
				m.keep(refs[i].CouponID, r, 0) // the room of the filter that is of no use any more
			}
			continue
		}
		if int64(at.Mono) >= r.retry.Load() && r.learning.CompareAndSwap(false, true) {
			unknown = append(unknown, lesson{r, refs[i], now})
		}
	}
	return unknown
}

// refusesAll says whether a look has shown what may be remembered: a refusal that holds for everybody without a place.
func refusesAll(a coupon.ViewAnswer) bool {
	return a.Err == nil && !a.View.Changing && verdictOf(a.View, a.View.Now) != 0
}

// knows says whether everybody who may have a place at now is among the names that this state was made from: the same
// gate, and nobody came. Within an epoch and a generation nobody's name goes.
func (s *looked) knows(now looked) bool {
	a, b := s.view, now.view
	return a.Epoch == b.Epoch && a.Generation == b.Generation && a.Taken == b.Taken && a.Members == b.Members
}

// learn reads who may have a place, between two looks that show the same.
func (m *Memory) learn(ctx context.Context, l lesson) {
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	began := m.deps.Clock()
	defer func() {
		now := m.deps.Clock()
		l.of.retry.Store(int64(now.Mono + max(learnPause, learnShare*(now.Mono-began.Mono))))
	}()
	names := l.shown.view.Taken
	if l.ref.Member {
		names = l.shown.view.Members
	}
	bits, hashes := bloom.EstimateParameters(uint(max(names, 1)), falsePositives)
	if !m.keep(l.ref.CouponID, l.of, int64(bits/8)) {
		m.metrics.tooLarge.Inc()
		return
	}
	filter := bloom.New(bits, hashes)
	if err := m.deps.Gate.EachName(ctx, l.ref, func(userID string) { filter.AddString(userID) }); err != nil {
		m.deps.Log.Debug("the holders of a coupon could not be read; its claims go on to the gate",
			"coupon_id", l.ref.CouponID, "error", err)
		return
	}
	at := m.deps.Clock()
	last := m.deps.Gate.Views(ctx, []coupon.Ref{l.ref})[0]
	now := looked{at: at, view: last.View, filter: filter}
	if refusesAll(last) && l.shown.knows(now) {
		m.metrics.learned.Inc()
		l.of.state.Store(&now)
	}
}
