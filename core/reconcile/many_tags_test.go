package reconcile_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/fakebook"
	"github.com/firstcome/firstcome/core/reconcile"
)

// counting counts calls by name, and can break some.
type counting struct {
	calls map[string]int
	order []string
	at    map[string]time.Time // of the latest
	fail  func(op string, n int) error
}

func (c *counting) step(op string, do func() error) error {
	if c.calls == nil {
		c.calls, c.at = map[string]int{}, map[string]time.Time{}
	}
	c.calls[op]++
	c.order = append(c.order, op)
	c.at[op] = time.Now()
	if c.fail != nil {
		if err := c.fail(op, c.calls[op]); err != nil {
			return err
		}
	}
	return do()
}

func (w *world) crowd(coupons int) (tags []string) {
	for range coupons {
		id := w.publish(0, total(3), 1)
		w.accept(id, "ann", "")
		w.accept(id, "bob", "")
	}
	w.gate.Flush("")
	return w.tags()
}

func TestManyTagsShareTheCallsAndOneWait(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(30)
		c := &counting{}
		began := time.Now()
		report, err := w.rebuilder("a", c.step).Rebuild(w.ctx, append(tags, tags...), true)
		require.NoError(t, err)
		require.Len(t, report.Tags, 30, "asked for twice, rebuilt once")
		require.Equal(t, 30, report.Count(reconcile.Opened))
		for _, once := range []string{"BumpEpochs", "Mark", "Ends", "StoreBarriers", "Barriers", "LoadTags", "Read", "Open", "ReleaseLeases"} {
			require.Equal(t, 1, c.calls[once], once)
		}
		require.Less(t, time.Since(began), 2*m)
		require.Equal(t, report.Took, time.Since(began))
		require.Contains(t, report.String(), "30 opened with 60 holders")
		w.settle()
		w.check()
	})
}

func TestNoGateOpensBeforeMHasPassedSinceTheLastMark(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(2)
		c := &counting{}
		_, err := w.rebuilder("a", c.step).Rebuild(w.ctx, tags, true)
		require.NoError(t, err)
		require.GreaterOrEqual(t, c.at["Open"].Sub(c.at["Mark"]), m)
	})
}

func TestAGateWhoseClockIsSlowerIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		c := &counting{fail: func(op string, n int) error {
			if op == "Open" && n <= 5 {
				return coupon.ErrTooEarly
			}
			return nil
		}}
		report, err := w.rebuilder("a", c.step).Rebuild(w.ctx, []string{w.ref(id).Tag}, true)
		require.NoError(t, err)
		require.Equal(t, 1, report.Count(reconcile.Opened))
		require.Equal(t, 6, c.calls["Open"])
	})
}

func TestReplicasMayLagBehindTheMark(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		c := &counting{}
		w.lag = 7 * time.Second
		_, err := w.rebuilder("a", c.step).Rebuild(w.ctx, []string{w.ref(id).Tag}, true)
		require.NoError(t, err)
		require.GreaterOrEqual(t, c.at["Ends"].Sub(c.at["Mark"]), 7*time.Second, "the ends are noted when no replica can be promoted without the mark")
	})
}

func TestATagThatFailsHurtsNoNeighbour(t *testing.T) {
	for _, op := range []string{"LoadRows", "LoadTail"} {
		t.Run(op, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				tags := w.crowd(4)
				for n := range int32(2) { // half of the records are rows
					for offset := range int64(5) {
						w.consume(n, offset)
					}
				}
				bad := errors.New("this one is broken")
				r := w.rebuilderWith("a", &brokenGate{Gates: w.gate, op: op, tag: tags[1], err: bad})
				report, err := r.Rebuild(w.ctx, tags, true)
				require.NoError(t, err)
				require.Equal(t, 3, report.Count(reconcile.Opened))
				require.Equal(t, reconcile.Failed, report.Tags[1].Outcome)
				require.ErrorIs(t, report.Tags[1].Err, bad)
				require.Contains(t, report.String(), "1 failed")
				w.settle()
				w.check()
			})
		})
	}
}

func TestGatesThatDoNotAnswerEndThePass(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(50)
		gone := errors.New("connection refused")
		calls := 0
		r := w.rebuilderWith("a", &brokenGate{Gates: w.gate, op: "LoadTail", err: gone, calls: &calls})
		report, err := r.Rebuild(w.ctx, tags, true)
		require.ErrorIs(t, err, gone)
		require.Equal(t, 50, report.Count(reconcile.Failed))
		require.Less(t, calls, 10, "each costs a timeout")
		w.settle()
		w.check()
	})
}

func TestWhatAllTagsNeedFailsForAll(t *testing.T) {
	for _, op := range []string{"BumpEpochs", "Ends", "StoreBarriers", "Barriers", "Committed", "LoadTags", "Read"} {
		t.Run(op, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				tags := w.crowd(3)
				gone := errors.New("out of reach")
				c := &counting{fail: func(name string, _ int) error {
					if name == op {
						return gone
					}
					return nil
				}}
				report, err := w.rebuilder("a", c.step).Rebuild(w.ctx, tags, true)
				require.ErrorIs(t, err, gone)
				require.Equal(t, 3, report.Count(reconcile.Failed))
				require.Zero(t, c.calls["Open"])
				w.settle()
				w.check()
			})
		})
	}
}

func TestAnothersLeaseIsLeftAloneUnlessForced(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		tag := w.ref(id).Tag
		busy := w.attempt("busy", tag)
		busy.Steps(4)
		report, err := w.rebuilder("other", nil).Rebuild(w.ctx, []string{tag, "c404"}, false)
		require.NoError(t, err)
		require.Equal(t, 2, report.Count(reconcile.Leased), "leased, and not there at all")
		busy.Finish()
		require.Equal(t, 1, busy.report.Count(reconcile.Opened))

		report, err = w.rebuilder("other", nil).Rebuild(w.ctx, []string{tag}, false)
		require.NoError(t, err)
		require.Equal(t, 1, report.Count(reconcile.Opened), "the lease is released at the end")
	})
}

func TestTheCallersEndStopsARebuildAndFreesItsLeases(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		ctx, cancel := context.WithCancel(w.ctx)
		c := &counting{fail: func(op string, _ int) error {
			if op == "Committed" {
				cancel()
			}
			return nil
		}}
		report, err := w.rebuilder("a", c.step).Rebuild(ctx, []string{w.ref(id).Tag}, true)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, report.Count(reconcile.Failed))
		report, err = w.rebuilder("b", nil).Rebuild(w.ctx, []string{w.ref(id).Tag}, false)
		require.NoError(t, err)
		require.Equal(t, 1, report.Count(reconcile.Opened))
	})
}

// A million holders are 90 MB, and the next attempt loads them beside what this one leaves.
func TestWhatARebuildLoadedAndDoesNotOpenIsRemoved(t *testing.T) {
	for _, op := range []string{"Read", "Open", "cancelled"} {
		t.Run(op, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				tags := w.crowd(3)
				fakebook.ConsumeAll(w.book, w.log)
				ctx, cancel := context.WithCancel(w.ctx)
				defer cancel()
				c := &counting{fail: func(name string, _ int) error {
					if op == "cancelled" && name == "Open" {
						cancel()
					} else if name == op {
						return errors.New("out of reach")
					}
					return nil
				}}
				if op == "Read" { // there must be something to read
					w.accept(w.publish(0, total(3), 1), "cid", "")
				}
				report, err := w.rebuilder("a", c.step).Rebuild(ctx, tags, true)
				if op == "cancelled" {
					require.ErrorIs(t, err, context.Canceled)
				}
				require.Equal(t, 3, report.Count(reconcile.Failed))
				require.Equal(t, 3, c.calls["Drop"])
				w.settle()
				w.check()
			})
		})
	}
	bubble(t, func(t *testing.T, w *world) {
		tags := w.crowd(3)
		c := &counting{}
		_, err := w.rebuilder("a", c.step).Rebuild(w.ctx, tags, true)
		require.NoError(t, err)
		require.Zero(t, c.calls["Drop"])
	})
}

// brokenGate refuses one kind of call, of one tag or of all.
type brokenGate struct {
	reconcile.Gates
	op, tag string
	err     error
	calls   *int
}

func (g *brokenGate) breaks(op string, m coupon.Mark) bool {
	if g.op != op || g.tag != "" && g.tag != m.Tag {
		return false
	}
	if g.calls != nil {
		*g.calls++
	}
	return true
}

func (g *brokenGate) LoadRows(ctx context.Context, mark coupon.Mark, ref coupon.Ref, rows []coupon.Place) error {
	if g.breaks("LoadRows", mark) {
		return g.err
	}
	return g.Gates.LoadRows(ctx, mark, ref, rows)
}

func (g *brokenGate) LoadTail(ctx context.Context, mark coupon.Mark, ref coupon.Ref, places []coupon.Place) (int64, error) {
	if g.breaks("LoadTail", mark) {
		return 0, g.err
	}
	return g.Gates.LoadTail(ctx, mark, ref, places)
}
