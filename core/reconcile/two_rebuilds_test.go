package reconcile_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/fakebook"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/reconcile"
)

// attempt is a rebuild that takes its steps one at a time.
type attempt struct {
	*stepped.Actor
	report reconcile.Report
	err    error
}

func (w *world) attempt(owner string, tags ...string) *attempt {
	a := &attempt{}
	a.Actor = stepped.Start(owner, func(actor *stepped.Actor) {
		a.report, a.err = w.rebuilder(owner, actor.Step).Rebuild(w.ctx, tags, true)
	})
	return a
}

// rebuildSteps are the calls of a rebuild of one coupon that has a row and an unread record.
const rebuildSteps = 12

// notBegun is the number of steps after which a rebuild has not taken its epoch yet.
const notBegun = 1

func TestARebuildHasTheseSteps(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		a := w.attempt("a", w.ref(id).Tag)
		var steps []string
		for !a.Ended {
			steps = append(steps, a.Op)
			a.Say(stepped.Go)
		}
		require.Equal(t, []string{
			"Committed", "BumpEpochs", "Mark", "Ends", "StoreBarriers", "Barriers", "Committed", "LoadTags", "LoadRows", "Read", "LoadTail",
			"Open", "ReleaseLeases",
		}, steps)
		require.Len(t, steps, rebuildSteps+1)
	})
}

// halfWritten is a coupon of three places with two promises, one of them a row, whose gate is lost.
func (w *world) halfWritten() int64 {
	id := w.publish(0, total(3), 1)
	w.accept(id, w.user(0, 1), "")
	w.accept(id, w.user(0, 2), "")
	fakebook.Consume(w.book, w.log, 0, 0)
	w.log.Commit(0, 1)
	w.gate.Flush("")
	return id
}

func TestOfTwoRebuildsTheLaterOpensWhereverTheFirstStands(t *testing.T) {
	for after := range rebuildSteps {
		t.Run(fmt.Sprintf("after step %d", after), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				id := w.halfWritten()
				tag := w.ref(id).Tag
				first := w.attempt("first", tag)
				first.Steps(after)

				require.Equal(t, 1, w.rebuild(tag).Count(reconcile.Opened))
				epoch := w.view(id).Epoch
				newcomer := w.accept(id, "newcomer", "")

				first.Finish()
				if after <= notBegun { // it had not begun: it is the later one
					require.Equal(t, reconcile.Opened, first.report.Tags[0].Outcome)
				} else {
					require.NoError(t, first.err)
					require.Equal(t, reconcile.Overtaken, first.report.Tags[0].Outcome)
					require.Equal(t, epoch, w.view(id).Epoch)
				}
				held, _, err := w.gate.Holder(w.ctx, w.ref(id), "newcomer", 1)
				require.NoError(t, err)
				require.Equal(t, newcomer.Seq, held.Seq)
				w.settle()
				w.check()
			})
		})
	}
}

func TestARebuildThatWakesUpLateOpensNoOldGate(t *testing.T) {
	for after := range rebuildSteps {
		t.Run(fmt.Sprintf("after step %d", after), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				id := w.halfWritten()
				tag := w.ref(id).Tag
				late := w.attempt("late", tag)
				late.Steps(after)
				w.rebuild(tag)
				w.accept(id, "newcomer", "") // promised by the gate of the later rebuild
				w.gate.Flush("")             // and all that Redis knew is lost again

				late.Finish()
				if after > notBegun {
					require.Equal(t, 0, late.report.Count(reconcile.Opened))
					require.ErrorIs(t, w.gate.Sound(w.ctx, []coupon.Ref{w.ref(id)})[0], coupon.ErrUnsound)
				}
				w.settle()
				w.check()
			})
		})
	}
}

func TestTwoRebuildsStepByStepInEveryWeave(t *testing.T) {
	// The second begins after some steps of the first; then they take turns.
	for after := range rebuildSteps {
		t.Run(fmt.Sprintf("after step %d", after), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				id := w.halfWritten()
				tag := w.ref(id).Tag
				first := w.attempt("first", tag)
				first.Steps(after)
				second := w.attempt("second", tag)
				for !first.Ended || !second.Ended {
					second.Steps(1)
					first.Steps(1)
				}
				later := second
				if after < notBegun { // it takes its epoch after the second
					later = first
				}
				require.Equal(t, 1, later.report.Count(reconcile.Opened))
				require.EqualValues(t, 3, w.view(id).Epoch)
				w.settle()
				w.check()
			})
		})
	}
}

func TestACrashedRebuildLeavesNothingThatTheNextOneNeedsToKnow(t *testing.T) {
	for after := range rebuildSteps {
		t.Run(fmt.Sprintf("after step %d", after), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				id := w.halfWritten()
				crashed := w.attempt("crashed", w.ref(id).Tag)
				crashed.Steps(after)
				crashed.Kill()
				w.asked = append(w.asked, w.ref(id).Tag)
				w.settle() // by the queue, which waits out the lease
				w.check()
				w.accept(id, "newcomer", "")
			})
		})
	}
}

func TestALostAnswerIsNeverTakenForASuccess(t *testing.T) {
	for after := range rebuildSteps {
		t.Run(fmt.Sprintf("of step %d", after), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				id := w.halfWritten()
				a := w.attempt("unlucky", w.ref(id).Tag)
				a.Steps(after)
				op := a.Op
				a.Say(stepped.Lose)
				marks := 0
				for !a.Ended {
					if a.Op == "Mark" {
						marks++
					}
					a.Say(stepped.Go)
				}
				switch op {
				case "LoadRows", "Open": // safe to repeat
					require.NoError(t, a.err)
					require.Equal(t, 1, a.report.Count(reconcile.Opened), op)
				default:
					require.Equal(t, 1, a.report.Count(reconcile.Failed), op)
					require.ErrorIs(t, a.report.Tags[0].Err, stepped.ErrLost)
				}
				if op == "Mark" {
					require.Zero(t, marks, "a mark is never repeated")
				}
				w.asked = append(w.asked, w.ref(id).Tag)
				w.settle()
				w.check()
			})
		})
	}
}

func TestAForeignServerUnderTheMarkIsNotOpened(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		a := w.attempt("a", w.ref(id).Tag)
		require.True(t, a.Until("Open"))
		w.gate.NewServer() // a failover that brought the mark along
		a.Finish()
		require.Equal(t, 1, a.report.Count(reconcile.Overtaken))
		w.settle()
		w.check()
	})
}
