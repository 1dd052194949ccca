package reconcile_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/publish"
)

// An admin's change and a rebuild of the same gate, in every weave of two: the one takes some steps, then the other
// some, then both go on.

type changing struct {
	*stepped.Actor
	err error
}

func (w *world) changing(id int64, req publish.ChangeRequest) *changing {
	req.Reason, req.By = "because", "admin"
	c := &changing{}
	c.Actor = stepped.Start("admin", func(a *stepped.Actor) { _, c.err = w.publisher(a.Step).Change(w.ctx, id, req) })
	return c
}

func lower(n int64) publish.ChangeRequest {
	places := total(n)
	return publish.ChangeRequest{Total: &places}
}

func state(s coupon.State) publish.ChangeRequest { return publish.ChangeRequest{State: &s} }

const changeSteps = 7 // Refresh is none; the longest is: begin, gate, apply, begin, end, gate, end

func TestAChangeCrossesARebuildAnywhere(t *testing.T) {
	for name, req := range map[string]publish.ChangeRequest{
		"lower to what is promised": lower(2), "lower below what is promised": lower(1), "raise": lower(5), "pause": state(coupon.StatePaused),
		"raise and pause": {Total: lower(5).Total, State: state(coupon.StatePaused).State},
	} {
		t.Run(name, func(t *testing.T) {
			weaves(t, 0, changeSteps, rebuildSteps, func(w *world, first, second int) { w.cross(req, first, second) })
		})
	}
}

// weaves runs a test, each time in a world of its own, for every pair of steps.
func weaves(t *testing.T, from, first, second int, test func(w *world, first, second int)) {
	t.Helper()
	bubble(t, func(t *testing.T, _ *world) {
		for i := from; i <= first; i++ {
			for k := range second + 1 {
				func() {
					defer func() {
						if t.Failed() {
							t.Logf("%d steps of the first, then %d of the second", i, k)
						}
					}()
					test(newWorld(t), i, k)
				}()
			}
		}
	})
}

func (w *world) cross(req publish.ChangeRequest, first, second int) {
	w.t.Helper()
	id := w.publish(0, total(3), 1)
	w.accept(id, w.user(0, 1), "")
	w.accept(id, w.user(0, 2), "")
	w.consume(0, 0)
	w.log.Commit(0, 1)
	before := w.coupon(id).Terms

	change := w.changing(id, req)
	change.Steps(first)
	rebuild := w.attempt("rebuild", w.ref(id).Tag)
	rebuild.Steps(second)
	change.Finish()
	rebuild.Finish()
	third, verdict := w.claim(id, "third", "")
	w.settle()
	w.check() // the gate and the book agree, and no promise is broken

	var kept *publish.KeptError
	after, wanted := w.coupon(id), w.book.ChangesOf(id)[0].To
	switch {
	case change.err == nil:
		require.True(w.t, after.Same(wanted), "done: %s", show(after.Terms))
	case errors.Is(change.err, coupon.ErrBelowIssued):
		require.True(w.t, after.Same(before), "refused: %s", show(after.Terms))
	case errors.As(change.err, &kept): // completed since, or refused
		require.True(w.t, after.Same(wanted) || after.Same(before), "kept: %s", show(after.Terms))
		require.NotEmpty(w.t, w.book.Outcomes(id)[1])
		if wanted.Total != nil && *wanted.Total != 1 {
			require.Contains(w.t, []string{publish.OutcomeDone, publish.OutcomeRefused}, w.book.Outcomes(id)[1])
		}
	default:
		w.t.Fatalf("%v", change.err)
	}
	if verdict == coupon.Admitted {
		require.EqualValues(w.t, 3, third.Seq)
	}
}

func TestALoweringThatAStoppedRebuildKeepsFromTheBookIsCompleted(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, total(5), 1)
		stopped := w.attempt("stopped", w.ref(id).Tag)
		stopped.Steps(notBegun + 1)
		stopped.Kill() // the gate decides at epoch 1, the book is at 2
		_, err := w.publisher(nil).Change(w.ctx, id, publish.ChangeRequest{Total: lower(2).Total, Reason: "less", By: "admin"})
		var kept *publish.KeptError
		require.ErrorAs(t, err, &kept)
		require.EqualValues(t, 1, kept.Revision)
		w.settle()
		w.check()
		require.EqualValues(t, 2, *w.coupon(id).Total)
		require.Equal(t, publish.OutcomeDone, w.book.Outcomes(id)[1])
	})
}

// The calls that publish a coupon: CreateCoupons, Mark, Epochs, Open.
const publishSteps = 4

func TestAPublisherThatCrashesLeavesACouponThatOpens(t *testing.T) {
	for after := 1; after < publishSteps; after++ {
		t.Run(fmt.Sprintf("after step %d", after), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				p := w.publishing()
				p.Steps(after)
				p.Kill()
				w.ids = w.book.IDs()
				w.settle() // the sweeper finds it
				w.check()
				w.accept(w.ids[0], "ann", "")
			})
		})
	}
}

type publishing struct {
	*stepped.Actor
	results []publish.Result
}

func (w *world) publishing() *publishing {
	p := &publishing{}
	draft := w.draft(0, total(2), 1)
	p.Actor = stepped.Start("publisher", func(a *stepped.Actor) {
		p.results = w.publisher(a.Step).Coupons(w.ctx, []coupon.Coupon{draft})
	})
	return p
}

func TestAPublisherThatWakesUpLateOpensNoEmptyGate(t *testing.T) {
	for after := 1; after < publishSteps; after++ {
		for _, lostAgain := range []bool{false, true} {
			t.Run(fmt.Sprintf("after step %d, lost again %v", after, lostAgain), func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					p := w.publishing()
					p.Steps(after)
					w.ids = w.book.IDs()
					w.rebuild(w.tags()...) // somebody found the gate shut
					w.accept(w.ids[0], "ann", "")
					if lostAgain {
						w.gate.Flush("")
					}
					p.Finish()
					var kept *publish.KeptError
					require.ErrorAs(t, p.results[0].Err, &kept)
					_, verdict := w.claim(w.ids[0], "ann", "")
					require.Contains(t, []coupon.Verdict{coupon.Holder, 0}, verdict, "an empty gate would admit her again")
					w.settle()
					w.check()
				})
			})
		}
	}
}

func TestAPublisherAndARebuildInEveryWeave(t *testing.T) {
	weaves(t, 1, publishSteps, rebuildSteps, func(w *world, after, steps int) {
		p := w.publishing()
		p.Steps(after)
		w.ids = w.book.IDs()
		a := w.attempt("rebuild", w.tags()...)
		a.Steps(steps)
		p.Finish()
		w.claim(w.ids[0], "ann", "")
		a.Finish()
		for _, place := range w.decided {
			w.land(place)
			w.confirm(place)
		}
		w.settle()
		w.check()
	})
}
