package reconcile_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/fakebook"
	"github.com/firstcome/firstcome/core/internal/stepped"
	"github.com/firstcome/firstcome/core/reconcile"
)

func TestARecordThatLandsAfterTheBarrierIsNeitherHolderNorRow(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, total(1), 1)
		late, verdict := w.claim(id, "late", "") // decided, its api sleeps
		require.Equal(t, coupon.Admitted, verdict)
		w.gate.Flush("")
		w.rebuild(w.ref(id).Tag)
		w.land(late)
		require.False(t, w.confirm(late), "the gate of the next reign does not stand by it")
		w.accept(id, "ann", "") // so the place is another's

		w.gate.Flush("")
		report := w.rebuild(w.ref(id).Tag)
		require.EqualValues(t, 1, report.Tags[0].Tail, "the overtaken record lies in the tail and does not count")
		w.settle()
		w.check()
		require.Len(t, w.book.Failures(), 1)
		require.Equal(t, coupon.FailStaleEpoch, w.book.Failures()[0].Reason)
	})
}

func TestAnOldRecordBeforeTheBarrierIsAPromise(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, total(1), 1)
		w.accept(id, "ann", "")
		for range 3 { // no consumer runs, and the gate is lost again and again
			w.gate.Flush("")
			w.rebuild(w.ref(id).Tag)
		}
		_, verdict := w.claim(id, "bob", "")
		require.Equal(t, coupon.SoldOut, verdict)
		w.settle()
		w.check()
		require.Empty(t, w.book.Failures())
	})
}

func TestAPartitionThatIsMissingInABarrierWasNotedAtZero(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, total(2), 1)
		tag := w.ref(id).Tag
		old, _ := w.claim(id, "ann", "")
		w.gate.Flush("")
		w.rebuild(tag) // notes two partitions
		w.log.Grow(7)
		require.GreaterOrEqual(t, w.log.PartitionOf("ann"), int32(2), "ann's records go to a new partition")
		w.land(old) // the old decision lands there
		bob := w.user(5, 1)
		w.accept(id, bob, "")
		w.gate.Flush("")
		report := w.rebuild(tag)
		require.EqualValues(t, 1, report.Tags[0].Tail, "only bob's")
		w.settle()
		w.check()
		require.Equal(t, coupon.FailStaleEpoch, w.book.Failures()[0].Reason)
	})
}

func TestAConsumersTransactionDoesNotStraddleTheBarrier(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, total(1), 1)
		late, _ := w.claim(id, "late", "")
		w.gate.Flush("")
		a := w.attempt("a", w.ref(id).Tag)
		require.True(t, a.Until("StoreBarriers"))
		w.land(late) // after the ends were noted
		// A consumer has locked the gate and read the barriers: there is none yet.
		partition := w.log.PartitionOf("late")
		tx := w.fake.Begin(partition, 0, late)
		committed := make(chan struct{})
		go func() {
			defer close(committed)
			time.Sleep(3 * time.Second) //nolint:forbidigo // the bubble's time: until everything else waits for the lock
			tx.Commit()
			w.log.Commit(partition, 1)
		}()
		began := time.Now()
		a.Say(stepped.Go)
		require.GreaterOrEqual(t, time.Since(began), 3*time.Second, "the barrier waits for the transaction")
		<-committed
		a.Finish()
		// The consumer took the record, so the gate must know its user: nobody else may have the place.
		require.EqualValues(t, 1, a.report.Tags[0].Rows)
		_, verdict := w.claim(id, "ann", "")
		require.Equal(t, coupon.SoldOut, verdict)
		w.settle()
		w.check()
		require.Empty(t, w.book.Failures())
	})
}

func TestTheTailEndsAtTheNotedEnds(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, total(2), 1)
		w.accept(id, "ann", "")
		bob, _ := w.claim(id, "bob", "")
		w.gate.Flush("")
		a := w.attempt("a", w.ref(id).Tag)
		require.True(t, a.Until("Read"))
		w.land(bob) // past the noted ends: overtaken
		a.Finish()
		require.EqualValues(t, 1, a.report.Tags[0].Tail)
		w.accept(id, "cid", "")
		w.settle()
		w.check()
	})
}

func TestAJournalThatLostUnreadRecordsKeepsTheGateShut(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.halfWritten()
		w.log.Cut(0, 2)
		report, err := w.rebuilder("a", nil).Rebuild(w.ctx, []string{w.ref(id).Tag}, false)
		require.ErrorIs(t, err, coupon.ErrLogCut)
		require.Equal(t, 1, report.Count(reconcile.Failed))
		require.ErrorIs(t, w.gate.Sound(w.ctx, []coupon.Ref{w.ref(id)})[0], coupon.ErrUnsound)
	})
}

func TestRecordsThatNoGateCanHaveGivenAreLeftOut(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, nil, 1)
		above := w.publish(0, nil, 2)
		now := time.Now()
		for _, p := range []coupon.Place{
			{CouponID: id, UserID: "future", Nth: 1, Seq: 9, Epoch: 99, AcceptedAt: now},
			{CouponID: id, UserID: "third", Nth: 3, Seq: 10, Epoch: 1, AcceptedAt: now},
			{CouponID: above, UserID: "keyless", Nth: 1, Seq: 11, Epoch: 1, AcceptedAt: now},
			{CouponID: id + 1, UserID: "nowhere", Nth: 1, Seq: 12, Epoch: 1, AcceptedAt: now},
			{CouponID: id, UserID: "good", Nth: 1, Seq: 2, Epoch: 1, AcceptedAt: now},
		} {
			w.land(p)
		}
		w.gate.Flush("")
		report := w.rebuild(w.tags()...)
		require.Equal(t, 2, report.Count(reconcile.Opened))
		require.EqualValues(t, 1, report.Holders())
		next := w.accept(id, "ann", "")
		require.EqualValues(t, 3, next.Seq)
	})
}

func TestAPlantedRecordWithATakenNumberKeepsNoGateShut(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, nil, 1)
		for _, user := range []string{"ann", "bob", "cid"} {
			w.land(coupon.Place{CouponID: id, UserID: user, Nth: 1, Seq: 1, Epoch: 1, AcceptedAt: time.Now()})
		}
		w.gate.Flush("")
		require.Equal(t, 1, w.rebuild(w.tags()...).Count(reconcile.Opened))
		next := w.accept(id, "dan", "")
		require.EqualValues(t, 4, next.Seq)
		fakebook.ConsumeAll(w.book, w.log)
	})
}
