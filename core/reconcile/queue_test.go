package reconcile_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/reconcile"
)

// queued runs a queue until the test ends.
func (w *world) queued(t *testing.T, owner string, step stepped.Step, gates reconcile.Viewer) *reconcile.Queue {
	t.Helper()
	q := reconcile.NewQueue(reconcile.QueueDeps{
		Rebuilder: w.rebuilder(owner, step), Gates: gates, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	return q
}

func (w *world) drained(t *testing.T, q *reconcile.Queue) {
	t.Helper()
	require.Eventually(t, func() bool { return q.Waiting() == 0 }, 10*time.Minute, 10*time.Millisecond)
}

func TestTheQueueRebuildsWhatIsAskedForInOnePass(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(20)
		c := &counting{}
		q := w.queued(t, "q", c.step, w.gate)
		for range 100 { // every claim asks
			for _, tag := range tags {
				q.Ask(tag)
			}
		}
		require.Equal(t, 20, q.Waiting())
		w.drained(t, q)
		require.Equal(t, 1, c.calls["BumpEpochs"])
		require.Equal(t, 2, c.calls["LoadTags"], "once for a look at the gates, once for the rows")
		w.settle()
		w.check()
	})
}

func TestTheQueueLeavesSoundGatesAlone(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(2)
		w.rebuild(tags[0])
		c := &counting{}
		q := w.queued(t, "q", c.step, w.gate)
		q.Ask(tags[0])
		q.Ask("c404")
		w.drained(t, q)
		require.Zero(t, c.calls["BumpEpochs"])
	})
}

func TestTheQueueWaitsForAnothersRebuild(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		tag := w.ref(id).Tag
		busy := w.attempt("busy", tag)
		busy.Steps(5)
		c := &counting{}
		q := w.queued(t, "q", c.step, w.gate)
		q.Ask(tag)
		wait(10 * time.Second)
		require.Equal(t, 1, q.Waiting())
		require.Greater(t, c.calls["BumpEpochs"], 3, "it looks now and then")
		busy.Finish()
		w.drained(t, q)
		require.EqualValues(t, 2, w.view(id).Epoch, "the other one's")
	})
}

func TestTheQueueTakesOverWhenALeaseRunsOut(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		crashed := w.attempt("crashed", w.ref(id).Tag)
		crashed.Steps(5)
		crashed.Kill()
		q := w.queued(t, "q", nil, w.gate)
		began := time.Now()
		q.Ask(w.ref(id).Tag)
		w.drained(t, q)
		require.Greater(t, time.Since(began), reconcile.DefaultLease-time.Second)
		require.Less(t, time.Since(began), reconcile.DefaultLease+5*time.Second)
		w.settle()
		w.check()
	})
}

func TestTheQueueTriesAgainAndLessAndLessOften(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		var mu sync.Mutex
		down := true
		tries := 0
		q := w.queued(t, "q", func(op string, do func() error) error {
			if op != "Ends" {
				return do()
			}
			mu.Lock()
			defer mu.Unlock()
			tries++
			if down {
				return errors.New("no broker")
			}
			return do()
		}, w.gate)
		q.Ask(w.ref(id).Tag)
		wait(5 * time.Minute)
		mu.Lock()
		require.Greater(t, tries, 8)
		require.Less(t, tries, 30)
		down = false
		mu.Unlock()
		w.drained(t, q)
		w.settle()
		w.check()
	})
}

func TestTheQueueWaitsWhileTheGatesDoNotAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		c := &counting{}
		views := &downFor{Viewer: w.gate, times: 4}
		q := w.queued(t, "q", c.step, views)
		q.Ask(w.ref(id).Tag)
		wait(time.Second)
		require.Zero(t, c.calls["BumpEpochs"], "what is not known to be unsound is not shut")
		w.drained(t, q)
		require.Equal(t, 1, c.calls["BumpEpochs"])
	})
}

type downFor struct {
	reconcile.Viewer
	times int
}

func (d *downFor) Views(ctx context.Context, refs []coupon.Ref) []coupon.ViewAnswer {
	if d.times--; d.times >= 0 {
		answers := make([]coupon.ViewAnswer, len(refs))
		for i := range answers {
			answers[i].Err = errors.New("timeout")
		}
		return answers
	}
	return d.Viewer.Views(ctx, refs)
}

func TestTheQueueForgetsATagThatNeverComes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		c := &counting{fail: func(op string, _ int) error {
			if op == "Ends" {
				return errors.New("no broker")
			}
			return nil
		}}
		q := w.queued(t, "q", c.step, w.gate)
		q.Ask(w.ref(id).Tag)
		wait(2 * time.Hour)
		require.Zero(t, q.Waiting())
	})
}

// A rebuild that takes longer than its lease would be overtaken by whoever waits for it, who would be overtaken ...
func TestRebuildsThatTakeLongerThanTheirLeaseComeToAnEnd(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		slow := func(op string, do func() error) error {
			if op == "LoadRows" {
				wait(reconcile.DefaultLease + 10*time.Second)
			}
			return do()
		}
		a, b := w.queued(t, "a", slow, w.gate), w.queued(t, "b", slow, w.gate)
		require.Eventually(t, func() bool {
			a.Ask(w.ref(id).Tag) // as claims do
			b.Ask(w.ref(id).Tag)
			return w.gate.Sound(w.ctx, []coupon.Ref{w.ref(id)})[0] == nil
		}, 10*time.Minute, time.Second)
		w.drained(t, a)
		w.drained(t, b)
		w.settle()
		w.check()
	})
}

func TestAGateBehindItsEpochIsRebuilt(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, total(2), 1)
		w.accept(id, "ann", "")
		stopped := w.attempt("stopped", w.ref(id).Tag)
		stopped.Steps(notBegun + 1)
		stopped.Kill()
		require.NoError(t, w.gate.Sound(w.ctx, []coupon.Ref{w.ref(id)})[0])
		q := w.queued(t, "q", nil, w.gate)
		q.Ask(w.ref(id).Tag)
		w.drained(t, q)
		require.EqualValues(t, 3, w.view(id).Epoch)
	})
}

func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
