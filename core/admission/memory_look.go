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
	var waiting []*remembered // to be learned
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
			r := waiting[0]
			waiting = waiting[1:]
			free <- struct{}{}
			running++
			go func() {
				defer func() { done <- struct{}{} }()
				m.learn(ctx, r)
				r.learning.Store(false)
			}()
		}
	}
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
func (m *Memory) look(ctx context.Context, all []*remembered) (unknown []*remembered) {
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
		now.verdict = worth(answers[i])
		// What a reading of the holders stores meanwhile is left alone: it has a look of its own, good for M by itself.
		before := r.state.Load()
		if before != nil && now.verdict != 0 && before.knows(now) {
			now.filter = before.filter
			r.state.CompareAndSwap(before, &now)
			continue
		}
		if before != nil {
			r.state.CompareAndSwap(before, nil)
		}
		if now.verdict == 0 {
			r.refused.Store(0)
			continue
		}
		if int64(at.Mono) >= r.retry.Load() && r.learning.CompareAndSwap(false, true) {
			unknown = append(unknown, r)
		}
	}
	return unknown
}

// worth is what may be remembered of a view: a refusal that holds for everybody without a place; 0: nothing.
func worth(a coupon.ViewAnswer) coupon.Verdict {
	if a.Err != nil || a.View.Changing {
		return 0
	}
	return verdictOf(a.View, a.View.Now)
}

// knows says whether everybody who may have a place at now is among the names that this state was made from: the same
// gate, and nobody came. Within an epoch and a generation nobody's name goes.
func (s *looked) knows(now looked) bool {
	a, b := s.view, now.view
	return a.Epoch == b.Epoch && a.Generation == b.Generation && a.Taken == b.Taken && a.Members == b.Members
}

// learn reads who may have a place, between two looks that show the same.
func (m *Memory) learn(ctx context.Context, r *remembered) {
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	began := m.deps.Clock()
	defer func() {
		now := m.deps.Clock()
		r.retry.Store(int64(now.Mono + max(learnPause, learnShare*(now.Mono-began.Mono))))
	}()
	ref := *r.ref.Load()
	first := m.deps.Gate.Views(ctx, []coupon.Ref{ref})[0]
	if worth(first) == 0 {
		return
	}
	names := first.View.Taken
	if ref.Member {
		names = first.View.Members
	}
	bits, hashes := bloom.EstimateParameters(uint(max(names, 1)), falsePositives)
	if !m.keep(ref.CouponID, r, int64(bits/8)) {
		m.metrics.tooLarge.Inc()
		return
	}
	filter := bloom.New(bits, hashes)
	if err := m.deps.Gate.EachName(ctx, ref, func(userID string) { filter.AddString(userID) }); err != nil {
		m.deps.Log.Debug("the holders of a coupon could not be read; its claims go on to the gate",
			"coupon_id", ref.CouponID, "error", err)
		return
	}
	now := looked{at: m.deps.Clock(), filter: filter}
	last := m.deps.Gate.Views(ctx, []coupon.Ref{ref})[0]
	now.view, now.verdict = last.View, worth(last)
	if now.verdict == 0 || !now.knows(looked{view: first.View}) {
		return
	}
	m.metrics.learned.Inc()
	r.state.Store(&now)
}
