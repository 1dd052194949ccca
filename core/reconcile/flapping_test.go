package reconcile_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/reconcile"
)

// What goes wrong again and again must not cost more and more, nor hold up those that could be open.

// A log that was cut, or brokers that are away: no gate is shut, no epoch and no barrier is used up, however often it is tried.
func TestNothingIsTakenWhileTheJournalCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		sound := w.publish(0, total(3), 1)
		w.accept(sound, "ann", "")
		lost := w.publish(0, total(3), 1)
		w.accept(lost, "ann", "")
		w.gate.Lose(w.ref(lost).Tag, "gate")
		w.log.Cut(w.log.PartitionOf("ann"), 1)
		q := w.queued(t, "q", nil, w.gate)
		q.Ask(w.ref(lost).Tag)
		wait(10 * time.Minute)
		report, err := w.rebuilder("a person", nil).Rebuild(w.ctx, w.tags(), true)
		require.ErrorIs(t, err, coupon.ErrLogCut)
		require.Equal(t, 2, report.Count(reconcile.Failed))

		require.NoError(t, w.gate.Sound(w.ctx, []coupon.Ref{w.ref(sound)})[0])
		require.ErrorIs(t, w.gate.Sound(w.ctx, []coupon.Ref{w.ref(lost)})[0], coupon.ErrUnsound, "what was cut is not known")
		epochs, err := w.book.Epochs(w.ctx, w.tags())
		require.NoError(t, err)
		for tag, epoch := range epochs {
			require.EqualValues(t, 1, epoch, tag)
		}
		barriers, err := w.book.Barriers(w.ctx, w.tags())
		require.NoError(t, err)
		for _, of := range barriers {
			require.Empty(t, of)
		}
	})
}

// A Redis that is another one every few seconds: a gate that opens is not overtaken, a gate that cannot open is tried for
// less and less often, and the lease, which others wait for after a crash, stays what it is.
func TestARedisThatFlapsIsRebuiltLessAndLessOften(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		tag := w.ref(id).Tag
		var mu sync.Mutex
		flapping, bumps := true, 0
		q := w.queued(t, "q", func(op string, do func() error) error {
			mu.Lock()
			if op == "BumpEpochs" {
				bumps++
			}
			if op == "Open" && flapping {
				w.gate.NewServer() // between mark and open
			}
			mu.Unlock()
			return do()
		}, w.gate)
		for range 60 {
			q.Ask(tag) // as claims do
			wait(time.Second)
		}
		mu.Lock()
		require.Greater(t, bumps, 5)
		require.Less(t, bumps, 15, "at most about every 8 s")
		flapping = false
		mu.Unlock()
		began := time.Now()
		w.drained(t, q)
		require.Less(t, time.Since(began), 12*time.Second)

		// The rebuilder dies in the next one; somebody else waits for its lease and no longer.
		w.gate.Flush("")
		w.lease = 0
		crashed := w.attempt("q", tag)
		crashed.Until("Open")
		crashed.Kill()
		other := w.queued(t, "other", nil, w.gate)
		began = time.Now()
		other.Ask(tag)
		w.drained(t, other)
		require.Less(t, time.Since(began), reconcile.DefaultLease+5*time.Second)
		w.settle()
		w.check()
	})
}

// The gates did not answer for minutes, and the queue looks at them rarely. Whoever hears from one says so.
func TestAGateThatAnswersAgainIsLookedAtAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		views := &downUntil{Viewer: w.gate}
		views.set(true)
		q := w.queued(t, "q", nil, views)
		q.Ask(w.ref(id).Tag)
		wait(3 * time.Minute)
		views.set(false)
		began := time.Now()
		q.Ask(w.ref(id).Tag)
		w.drained(t, q)
		require.Less(t, time.Since(began), 2*m)
	})
}

// What does not answer is one server of several: one look finds out about all gates, and the others open.
func TestGatesOfAServerThatDoesNotAnswerHoldNobodyUp(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(500)
		silent := map[string]bool{}
		for _, tag := range tags[:200] {
			silent[tag] = true
		}
		views := &slowViews{Viewer: w.gate, silent: silent, took: 2 * time.Second}
		q := w.queued(t, "q", nil, views)
		began := time.Now()
		for _, tag := range tags {
			q.Ask(tag)
		}
		require.Eventually(t, func() bool { return q.Waiting() == 200 }, time.Minute, 10*time.Millisecond)
		require.Less(t, time.Since(began), 4*time.Second, "2 s for the looks, one rebuild")
		for _, id := range w.ids {
			ref := w.ref(id)
			err := w.gate.Sound(w.ctx, []coupon.Ref{ref})[0]
			require.Equal(t, silent[ref.Tag], err != nil, "what is not known to be unsound is left alone: %v", err)
		}
	})
}

// A mark that many tags did not get keeps none of the others shut.
func TestMarksThatFailHurtNoNeighbour(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(50)
		r := w.rebuilderWith("a", &deafToMarks{Gates: w.gate, of: tags[10:40]})
		report, err := r.Rebuild(w.ctx, tags, true)
		require.NoError(t, err)
		require.Equal(t, 20, report.Count(reconcile.Opened))
		require.Equal(t, 30, report.Count(reconcile.Failed))
		w.settle()
		w.check()
	})
}

var errTimeout = errors.New("timeout")

type downUntil struct {
	reconcile.Viewer
	mu   sync.Mutex
	down bool
}

func (d *downUntil) set(down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = down
}

func (d *downUntil) Views(ctx context.Context, refs []coupon.Ref) []coupon.ViewAnswer {
	d.mu.Lock()
	defer d.mu.Unlock()
	answers := d.Viewer.Views(ctx, refs)
	for i := range answers {
		if d.down {
			answers[i] = coupon.ViewAnswer{Err: errTimeout}
		}
	}
	return answers
}

// slowViews takes its time for a call in which one of the silent tags is.
type slowViews struct {
	reconcile.Viewer
	silent map[string]bool
	took   time.Duration
}

func (s *slowViews) Views(ctx context.Context, refs []coupon.Ref) []coupon.ViewAnswer {
	answers := s.Viewer.Views(ctx, refs)
	var waits bool
	for i, ref := range refs {
		if s.silent[ref.Tag] {
			answers[i], waits = coupon.ViewAnswer{Err: errTimeout}, true
		}
	}
	if waits {
		<-time.After(s.took)
	}
	return answers
}

type deafToMarks struct {
	reconcile.Gates
	of []string
}

func (d *deafToMarks) Mark(ctx context.Context, marks []coupon.Mark) []coupon.MarkAnswer {
	answers := d.Gates.Mark(ctx, marks)
	for i, m := range marks {
		for _, tag := range d.of {
			if m.Tag == tag {
				answers[i] = coupon.MarkAnswer{Mark: m, Err: errTimeout}
			}
		}
	}
	return answers
}
