package reconcile_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/reconcile"
)

// sale lists a world's coupons, and lends leases.
type sale struct {
	w      *world
	mu     sync.Mutex
	lists  int
	err    error
	leased bool // to another process
	took   time.Duration
}

func (s *sale) LiveRefs(_ context.Context, afterID int64, limit int) ([]coupon.Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	<-time.After(s.took)
	if s.err != nil {
		return nil, s.err
	}
	var refs []coupon.Ref
	for _, id := range s.w.book.IDs() {
		if id > afterID && len(refs) < limit {
			refs = append(refs, s.w.ref(id))
		}
	}
	return refs, nil
}

func (s *sale) Acquire(context.Context, string, string, time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.leased, nil
}

func (s *sale) listed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}

// searching runs a queue that can search, until the test ends, and tells which tags each of its passes took.
func (w *world) searching(t *testing.T, s *sale) (*reconcile.Queue, func() [][]string) {
	t.Helper()
	s.w = w
	passes := &passes{}
	book := &watchedBook{AnyBook: w.book, passes: passes}
	q := reconcile.NewQueue(reconcile.QueueDeps{
		Rebuilder: reconcile.NewRebuilder(reconcile.Deps{
			Book: book, Gates: w.gate, Journal: w.log, M: w.m, Owner: "q", Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		}),
		Gates: w.gate, Live: s, Leases: s, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	return q, passes.all
}

type passes struct {
	mu   sync.Mutex
	took [][]string
}

func (p *passes) all() [][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.took)
}

type watchedBook struct {
	stepped.AnyBook
	passes *passes
}

func (b *watchedBook) BumpEpochs(ctx context.Context, tags []string, owner string, lease time.Duration, force bool) ([]coupon.Mark, error) {
	b.passes.mu.Lock()
	b.passes.took = append(b.passes.took, slices.Clone(tags))
	b.passes.mu.Unlock()
	return b.AnyBook.BumpEpochs(ctx, tags, owner, lease, force)
}

func (w *world) whyUnsound(tag string) coupon.UnsoundWhy {
	for _, id := range w.ids {
		var unsound *coupon.UnsoundError
		if ref := w.ref(id); ref.Tag == tag && errors.As(w.gate.Sound(w.ctx, []coupon.Ref{ref})[0], &unsound) {
			return unsound.Why
		}
	}
	return ""
}

func (w *world) lost(tag string) coupon.UnsoundError {
	return coupon.UnsoundError{Tag: tag, Why: w.whyUnsound(tag)}
}

// Nobody but one user asks: all that the server lost comes back, that user's gate first and all others in one pass.
func TestWhatAServerLostComesBackInOnePassAfterThoseAskedFor(t *testing.T) {
	for name, lose := range map[string]func(w *world){
		"emptied": func(w *world) { w.gate.Flush("") },
		"another": func(w *world) { w.gate.NewServer() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				tags := w.crowd(40)
				w.settle()
				w.rebuild(tags...)
				lose(w)
				s := &sale{took: 2 * time.Second} // longer than a pass
				q, passes := w.searching(t, s)
				q.Unsound(w.lost(tags[17]))
				wait(100 * time.Millisecond)
				for i, tag := range tags { // the sweepers walk on meanwhile
					if i%3 == 0 {
						q.Noticed(w.lost(tag))
					}
				}
				w.drained(t, q)
				got := passes()
				require.Len(t, got, 2, "%v", got)
				require.Equal(t, []string{tags[17]}, got[0])
				require.ElementsMatch(t, slices.Concat(tags[:17], tags[18:]), got[1])
				require.Equal(t, 2, s.listed(), "one walk")
				w.settle()
				w.check()
			})
		})
	}
}

func TestAGateThatIsWrongByItselfStartsNoSearch(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(3)
		w.rebuild(tags...)
		s := &sale{}
		q, _ := w.searching(t, s)
		for _, why := range []coupon.UnsoundWhy{
			coupon.WhyMarked, coupon.WhyCoupon, coupon.WhyHolders, coupon.WhyPending, coupon.WhyMembers, coupon.WhyCoupons, coupon.WhyBehind,
		} {
			q.Unsound(coupon.UnsoundError{Tag: tags[0], Why: why})
			w.drained(t, q)
		}
		require.Zero(t, s.listed())
	})
}

// Gates that are lost and cannot be brought back are asked for again and again; those questions search no more.
func TestSearchesAreFarBetweenAndAskedForByNewsOnly(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(5)
		w.rebuild(tags...)
		s := &sale{}
		q, _ := w.searching(t, s)
		w.gate.Flush(tags[0])
		for range 100 {
			q.Unsound(w.lost(tags[0]))
		}
		w.drained(t, q)
		require.Equal(t, 2, s.listed(), "a page, and the end")
		w.gate.Flush(tags[1])
		q.Noticed(w.lost(tags[1]))
		w.drained(t, q)
		require.Equal(t, 2, s.listed(), "it comes back by itself")
		wait(time.Minute)
		require.Equal(t, 4, s.listed(), "and what else may have been lost with it is looked for later")
		wait(time.Hour)
		require.Equal(t, 4, s.listed())
	})
}

func TestOneProcessSearches(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(6)
		s := &sale{leased: true}
		q, passes := w.searching(t, s)
		q.Unsound(w.lost(tags[0]))
		q.Noticed(w.lost(tags[1]))
		wait(time.Second)
		require.Equal(t, [][]string{{tags[0]}}, passes(), "what nobody asked for is the other's, for a moment")
		require.Equal(t, 1, q.Waiting())
		w.drained(t, q)
		require.Equal(t, [][]string{{tags[0]}, {tags[1]}}, passes(), "and if the other does not come it is ours")
		require.Zero(t, s.listed())
	})
}

// A coupon that was just made is between ledger and gate: a rebuild now would overtake its publisher.
func TestTheGateOfANewCouponIsSearchedALittleLater(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		wait(time.Until(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))) // ids tell their age from 2026 on
		old := w.crowd(2)
		wait(coupon.NewFor)
		tags := w.crowd(3)
		q, passes := w.searching(t, &sale{})
		q.Unsound(w.lost(old[0]))
		wait(coupon.NewFor - 100*time.Millisecond)
		require.Equal(t, [][]string{{old[0]}, {old[1]}}, passes())
		wait(2 * time.Second)
		require.ElementsMatch(t, tags[2:], passes()[2])
	})
}

func TestASearchThatFailsHoldsNothingUp(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(4)
		s := &sale{err: errors.New("connection refused")}
		q, _ := w.searching(t, s)
		q.Noticed(w.lost(tags[0]))
		began := time.Now()
		w.drained(t, q)
		require.Less(t, time.Since(began), 2*time.Second)
		require.Equal(t, 1, s.listed())
	})
}

// While a crowd goes from coupon to coupon, the others are not put off for ever.
func TestThoseThatNobodyAsksForAreNotForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(60)
		q, passes := w.searching(t, &sale{leased: true})
		q.Noticed(w.lost(tags[59]))
		for _, tag := range tags[:59] {
			q.Ask(tag)
			wait(250 * time.Millisecond)
		}
		w.drained(t, q)
		at := slices.IndexFunc(passes(), func(pass []string) bool { return slices.Contains(pass, tags[59]) })
		require.LessOrEqual(t, at, 10, "%d passes", len(passes()))
	})
}

func TestANoticedGateThatIsAskedForGoesFirst(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(10)
		q, passes := w.searching(t, &sale{leased: true})
		for _, tag := range tags {
			q.Noticed(coupon.UnsoundError{Tag: tag, Why: coupon.WhyNoGate})
		}
		wait(1900 * time.Millisecond)
		require.Empty(t, passes())
		q.Ask(tags[9])
		wait(300 * time.Millisecond) // in the middle of that pass the others' time comes
		q.Ask(tags[6])
		w.drained(t, q)
		require.Equal(t, [][]string{{tags[9]}, {tags[6]}}, passes()[:2])
		require.Len(t, passes(), 3)
	})
}
