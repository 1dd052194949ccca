package backlog

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/core/coupon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world has coupons 1 to n; the even ones are retired and not live.
type world struct {
	mu    sync.Mutex
	n     int64
	taken int64 // at each coupon's gate, one of them pending
	rows  int64 // of each coupon
	down  error
	held  string
}

func (w *world) set(change func(*world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

func (w *world) LiveRefs(_ context.Context, afterID int64, limit int) ([]coupon.Ref, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var refs []coupon.Ref
	for id := afterID + 1; id <= w.n && len(refs) < limit; id++ {
		if id%2 == 1 {
			refs = append(refs, coupon.Ref{CouponID: id})
		}
	}
	return refs, w.down
}

func (w *world) Views(_ context.Context, refs []coupon.Ref) []coupon.ViewAnswer {
	w.mu.Lock()
	defer w.mu.Unlock()
	answers := make([]coupon.ViewAnswer, len(refs))
	for i, ref := range refs {
		answers[i].View = coupon.View{Taken: w.taken, Pending: 1}
		if ref.CouponID == 1 {
			answers[i] = coupon.ViewAnswer{Err: errors.New("timeout")}
		}
	}
	return answers
}

func (w *world) Coupons(_ context.Context, afterID int64, limit int) ([]coupon.Coupon, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []coupon.Coupon
	for id := afterID + 1; id <= w.n && len(found) < limit; id++ {
		found = append(found, coupon.Coupon{ID: id, IssuedCount: w.rows})
	}
	return found, nil
}

func (w *world) Acquire(_ context.Context, _, owner string, _ time.Duration) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == "" {
		w.held = owner
	}
	return w.held == owner, nil
}

func newCounter(w *world, owner string) *Counter {
	return New(Deps{
		Gates: w, Live: w, Ledger: w, Owner: owner, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		Every: 5 * time.Millisecond,
	})
}

func TestWhatIsAcceptedAndNotIssuedIsCountedOverAllPages(t *testing.T) {
	t.Parallel()
	w := &world{n: 2*pageSize + 9, taken: 5, rows: 2}
	c := newCounter(w, "a")
	require.NoError(t, c.count(t.Context()))
	live := float64(pageSize + 5)
	assert.InDelta(t, 2*(live-1), testutil.ToFloat64(c.waiting), 0, "5 taken, 1 pending, 2 issued at each but the one without an answer")
	assert.InDelta(t, 1, testutil.ToFloat64(c.unknown), 0)
	w.set(func(w *world) { w.rows = 9 })
	require.NoError(t, c.count(t.Context()))
	assert.Zero(t, testutil.ToFloat64(c.waiting), "never below zero")
}

func TestOneOfSeveralTellsItAndNobodyGuesses(t *testing.T) {
	t.Parallel()
	w := &world{n: 3, taken: 5, rows: 2, held: "a"}
	counters := map[string]*Counter{"a": newCounter(w, "a"), "b": newCounter(w, "b")}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, c := range counters {
		all.Go(func() { assert.ErrorIs(t, c.Run(ctx), context.Canceled) })
	}
	says := func(owner string) float64 { return testutil.ToFloat64(counters[owner].waiting) }
	require.Eventually(t, func() bool { return says("a") == 2 }, 5*time.Second, time.Millisecond)
	assert.True(t, math.IsNaN(says("b")))
	w.set(func(w *world) { w.down = errors.New("connection refused") })
	require.Eventually(t, func() bool { return math.IsNaN(says("a")) }, 5*time.Second, time.Millisecond)
	w.set(func(w *world) { w.down, w.held = nil, "b" })
	require.Eventually(t, func() bool { return says("b") == 2 && math.IsNaN(says("a")) }, 5*time.Second, time.Millisecond)
	cancel()
	all.Wait()
}
