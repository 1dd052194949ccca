package reconcile_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/internal/fakebook"
	"github.com/firstcome/firstcome/core/reconcile"
)

// These tests go through all orders of a few things, where the simulation draws some of many: what they are made for they
// find every time.

// Two rebuilds stop anywhere, a third opens the gate and keeps a promise, and the two wake up in either order; on what the
// third has built, on an empty Redis, or on another server.
func TestOfThreeRebuildsTheLatestCountsWhereverTheOthersStand(t *testing.T) {
	for name, lose := range map[string]func(w *world){
		"nothing lost": func(*world) {}, "all lost": func(w *world) { w.gate.Flush("") }, "another server": func(w *world) { w.gate.NewServer() },
	} {
		t.Run(name, func(t *testing.T) {
			weaves(t, 1, rebuildSteps, rebuildSteps, func(w *world, i, k int) {
				for _, backwards := range []bool{false, true} {
					w = newWorld(w.t)
					w.threeRebuilds(i, k, backwards, lose)
				}
			})
		})
	}
}

func (w *world) threeRebuilds(i, k int, backwards bool, lose func(*world)) {
	w.t.Helper()
	id := w.halfWritten()
	tag := w.ref(id).Tag
	first := w.attempt("first", tag)
	first.Steps(i)
	w.consume(0, 1) // the consumers go on, and do not commit
	second := w.attempt("second", tag)
	second.Steps(k)
	require.Equal(w.t, 1, w.rebuild(tag).Count(reconcile.Opened))
	epoch := w.view(id).Epoch
	newcomer := w.accept(id, "newcomer", "")
	lose(w)
	late := []*attempt{first, second}
	if backwards {
		slices.Reverse(late)
	}
	for _, a := range late {
		a.Finish()
		if p, verdict := w.claim(id, "newcomer", ""); verdict.Place() {
			require.Equal(w.t, newcomer.Seq, p.Seq, "the newcomer's number")
		}
	}
	require.GreaterOrEqual(w.t, w.epoch(tag), epoch)
	w.settle()
	w.check()
}

func (w *world) epoch(tag string) int64 {
	epochs, err := w.book.Epochs(w.ctx, []string{tag})
	require.NoError(w.t, err)
	return epochs[tag]
}

// A record that the first gate decided lands anywhere while two rebuilds are at it, one after the other or crossing, and a
// second user claims the only place anywhere. Whoever of the two is promised it has it.
func TestALateRecordAndAClaimLandAnywhereInTwoRebuilds(t *testing.T) {
	for _, after := range []int{notBegun + 1, 6, rebuildSteps + 1} {
		for _, consumed := range []string{"late", "at once", "at once, committed"} {
			t.Run(fmt.Sprintf("the second begins after %d, consumed %s", after, consumed), func(t *testing.T) {
				const all = 2 * (rebuildSteps + 1)
				weaves(t, 0, all, all, func(w *world, lands, claims int) { w.lateRecord(after, lands, claims, consumed) })
			})
		}
	}
}

// lateRecord goes through the steps of two rebuilds; lands and claims are the steps before which something happens.
func (w *world) lateRecord(after, lands, claims int, consumed string) {
	w.t.Helper()
	id := w.publish(0, total(1), 1)
	ann, bob := w.user(0, 1), w.user(0, 2) // of one partition: one record lies behind the other
	w.claim(id, ann, "")
	late := w.decided[0]
	w.gate.NewServer()
	tag := w.ref(id).Tag
	rebuilds := []*attempt{w.attempt("first", tag), nil}
	// A promise may be made whenever the journal has a record and a gate says that it stands.
	meanwhile := func() {
		for _, p := range w.log.Records() {
			w.confirm(p)
		}
	}
	for step := range 2*(rebuildSteps+1) + 1 {
		if step == lands {
			w.land(late)
			w.readOn(consumed)
		}
		if step == claims {
			if p, verdict := w.claim(id, bob, ""); verdict.Place() {
				w.land(p)
				w.readOn(consumed)
			}
		}
		meanwhile()
		turn := 0
		if step >= after {
			if rebuilds[1] == nil {
				rebuilds[1] = w.attempt("second", tag)
			}
			turn = 1 - step%2 // they take turns
		}
		if rebuilds[turn].Ended {
			turn = 1 - turn
		}
		if a := rebuilds[turn]; a != nil && !a.Ended {
			a.Steps(1)
		}
	}
	for _, a := range rebuilds {
		a.Finish()
	}
	meanwhile()
	w.settle()
	meanwhile()
	w.settle()
	w.check()
}

// readOn lets the consumers go on as the case has it.
func (w *world) readOn(how string) {
	if how == "late" {
		return
	}
	for n := range int32(2) {
		for fakebook.Consume(w.book, w.log, n, w.pos[n]) {
			w.pos[n]++
		}
		if how == "at once, committed" {
			w.log.Commit(n, w.pos[n])
		}
	}
}
