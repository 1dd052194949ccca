package reconcile_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/fakebook"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/publish"
	"github.com/firstcome/firstcome/core/reconcile"
)

func TestAMemberWithRecordsOfTwoCouponsGetsTheEarlierOne(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		event := w.event()
		a, b := w.publish(event, total(5), 1), w.publish(event, total(5), 1)
		ann, bob := w.user(0, 1), w.user(0, 2)
		record := func(id int64, user string, seq int64) {
			w.land(coupon.Place{CouponID: id, UserID: user, Nth: 1, Seq: seq, Epoch: 1, AcceptedAt: time.Now()})
		}
		// In the order of the journal ann has b and bob has a, whichever coupon is loaded first.
		record(a, bob, 1)
		record(b, ann, 1)
		record(a, ann, 2)
		record(b, bob, 2)
		w.gate.Flush("")
		report := w.rebuild(coupon.EventTag(event))
		require.EqualValues(t, 2, report.Tags[0].Tail)
		for user, id := range map[string]int64{ann: b, bob: a} {
			held, _, err := w.gate.Holder(w.ctx, w.ref(id), user, 1)
			require.NoError(t, err)
			require.EqualValues(t, 1, held.Seq)
		}
		w.settle() // the consumers decide alike
		w.check()
		require.Len(t, w.book.Failures(), 2)
	})
}

func TestAMembersRowWinsOverARecordOfAnotherCoupon(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		event := w.event()
		a, b := w.publish(event, total(5), 1), w.publish(event, total(5), 1)
		w.accept(a, "ann", "")
		fakebook.ConsumeAll(w.book, w.log)
		w.land(coupon.Place{CouponID: b, UserID: "ann", Nth: 1, Seq: 1, Epoch: 1, AcceptedAt: time.Now()})
		w.gate.Flush("")
		report := w.rebuild(coupon.EventTag(event))
		require.EqualValues(t, 1, report.Holders())
		_, verdict := w.claim(b, "ann", "")
		require.Equal(t, coupon.EventLimit, verdict)
		w.settle()
		w.check()
	})
}

func TestAFirstComeUseCouponOfAnEventMakesNoMembers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		event := w.event()
		issue := w.publish(event, total(5), 1)
		free := w.draft(event, nil, 2)
		free.Kind = coupon.FirstComeUse
		r := w.publisher(nil).Coupons(w.ctx, []coupon.Coupon{free})
		require.NoError(t, r[0].Err)
		w.ids = append(w.ids, r[0].Coupon.ID)
		w.accept(issue, "ann", "")
		w.accept(r[0].Coupon.ID, "ann", "k1")
		w.accept(r[0].Coupon.ID, "ann", "k2")
		w.gate.Flush("")
		require.EqualValues(t, 3, w.rebuild(coupon.EventTag(event)).Tags[0].Tail)
		w.settle()
		w.check()
	})
}

// The steps of a join: CreateCoupons, Join.
func TestACouponJoinsWhileItsEventIsRebuiltWhereverTheRebuildStands(t *testing.T) {
	weaves(t, 0, rebuildSteps, rebuildSteps, func(w *world, before, between int) {
		event := w.event()
		old := w.publish(event, total(3), 1)
		w.accept(old, w.user(0, 1), "")
		w.accept(old, w.user(0, 2), "")
		w.consume(0, 0)
		w.log.Commit(0, 1)
		w.gate.Flush("")

		a := w.attempt("a", coupon.EventTag(event))
		a.Steps(before)
		var results []publish.Result
		joiner := stepped.Start("joiner", func(actor *stepped.Actor) {
			results = w.publisher(actor.Step).Coupons(w.ctx, []coupon.Coupon{w.draft(event, total(2), 1)})
		})
		joiner.Steps(1)
		a.Steps(between)
		joiner.Steps(1)
		a.Finish()
		joiner.Finish()

		require.Equal(w.t, 1, a.report.Count(reconcile.Opened))
		require.NoError(w.t, results[0].Err, "it waits for the gate")
		w.ids = append(w.ids, results[0].Coupon.ID)
		w.accept(results[0].Coupon.ID, "newcomer", "")
		w.settle()
		w.check()
	})
}

func TestACouponWhosePublisherCrashedBeforeItJoinedComesWithTheRebuild(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		event := w.event()
		w.accept(w.publish(event, total(3), 1), "ann", "")
		joiner := stepped.Start("joiner", func(actor *stepped.Actor) {
			w.publisher(actor.Step).Coupons(w.ctx, []coupon.Coupon{w.draft(event, total(2), 1)})
		})
		require.True(t, joiner.Until("Join"))
		joiner.Kill()
		w.ids = w.book.IDs()
		w.settle() // the sweeper finds it
		w.check()
		w.accept(w.ids[1], "bob", "")
	})
}

func TestAJoinThatTheRebuildNeverMarkedForIsSeenTo(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		event := w.event()
		w.accept(w.publish(event, total(3), 1), "ann", "")
		stopped := w.attempt("stopped", coupon.EventTag(event))
		stopped.Steps(notBegun + 1)
		stopped.Kill() // the book is at epoch 2, the gate decides at 1
		results := w.publisher(nil).Coupons(w.ctx, []coupon.Coupon{w.draft(event, total(2), 1)})
		var kept *publish.KeptError
		require.ErrorAs(t, results[0].Err, &kept)
		require.Equal(t, coupon.EventTag(event), w.asked[len(w.asked)-1])
		w.ids = w.book.IDs()
		w.settle()
		w.check()
		w.accept(results[0].Coupon.ID, "bob", "")
	})
}
