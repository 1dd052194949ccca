package reconcile_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/internal/fakebook"
	"github.com/firstcome/firstcome/core/reconcile"
)

// user returns a user whose records are in that partition.
func (w *world) user(partition int32, n int) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("u%d-%d", n, i)
		if w.log.PartitionOf(name) == partition {
			return name
		}
	}
}

func TestALostGateComesBackFromRowsAndUnreadRecords(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, total(6), 1)
		written, unread, marked := w.user(0, 1), w.user(0, 2), w.user(1, 3)
		for _, user := range []string{written, unread, marked} {
			w.accept(id, user, "")
		}
		fakebook.Consume(w.book, w.log, 0, 0) // written, and not marked: a row and a record in the tail
		fakebook.Consume(w.book, w.log, 1, 0)
		w.log.Commit(1, 1)
		w.gate.Flush("")

		report := w.rebuild(w.ref(id).Tag)
		require.Equal(t, []reconcile.TagReport{{
			Tag: w.ref(id).Tag, Epoch: 2, Outcome: reconcile.Opened, Coupons: 1, Rows: 2, Tail: 1,
		}}, report.Tags)
		require.EqualValues(t, 3, report.Holders())

		_, verdict := w.claim(id, unread, "")
		require.Equal(t, coupon.Holder, verdict)
		next := w.accept(id, "newcomer", "")
		require.EqualValues(t, 4, next.Seq, "the numbers go on")
		w.settle()
		w.check()
	})
}

func TestNumbersOfRecordsThatGotLostAreNotGivenAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, nil, 1)
		for _, user := range []string{"lost", "too"} {
			w.claim(id, user, "") // decided, and never journaled
		}
		require.EqualValues(t, 3, w.accept(id, "ann", "").Seq)
		fakebook.ConsumeAll(w.book, w.log)
		w.gate.Flush("")
		w.rebuild(w.ref(id).Tag)
		require.EqualValues(t, 4, w.accept(id, "bob", "").Seq)
		w.settle()
		w.check()
	})
}

func TestGivenBackPlacesStayTombstones(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, total(2), 1)
		w.accept(id, "ann", "")
		w.accept(id, "bob", "")
		fakebook.ConsumeAll(w.book, w.log)
		w.fake.Revoke(id, "bob")
		w.gate.NewServer()
		w.rebuild(w.ref(id).Tag)

		_, verdict := w.claim(id, "bob", "")
		require.Equal(t, coupon.Revoked, verdict)
		p, verdict := w.claim(id, "cid", "")
		require.Equal(t, coupon.Admitted, verdict, "the place is free again")
		require.EqualValues(t, 3, p.Seq, "and its number is not")
	})
}

func TestClaimsAboveOneKeepTheirKeys(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, nil, 3)
		first, second := w.accept(id, "ann", "k1"), w.accept(id, "ann", "k2")
		fakebook.Consume(w.book, w.log, w.log.PartitionOf("ann"), 0)
		w.gate.Flush("")
		w.rebuild(w.ref(id).Tag)

		for key, want := range map[string]coupon.Place{"k1": first, "k2": second} {
			p, verdict := w.claim(id, "ann", key)
			require.Equal(t, coupon.Holder, verdict)
			require.Equal(t, []int64{want.Seq, int64(want.Nth)}, []int64{p.Seq, int64(p.Nth)})
		}
		third, _ := w.claim(id, "ann", "k3")
		require.Equal(t, 3, third.Nth)
		_, verdict := w.claim(id, "ann", "k4")
		require.Equal(t, coupon.UserLimit, verdict)
	})
}

func TestTheGateGetsTheTermsAndTheRevisionThatTheBookApplied(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, total(5), 1)
		// A lowering that has its revision and has reached nothing yet.
		lowered, err := w.book.BeginChange(w.ctx, id, func(cur coupon.Terms, _ int64) (coupon.Terms, error) {
			cur.Total = total(1)
			return cur, nil
		}, "lower", "admin")
		require.NoError(t, err)
		w.rebuild(w.ref(id).Tag)

		epoch, err := w.gate.Change(w.ctx, coupon.TermsChange{Ref: w.ref(id), To: lowered.To, Revision: lowered.Revision, Wait: m})
		require.NoError(t, err)
		require.EqualValues(t, 2, epoch)
		require.EqualValues(t, 1, *w.view(id).Total, "the gate must not take it for done")
	})
}

func TestRowsThatAppearWhilePagesAreReadCountOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		id := w.publish(0, nil, 1)
		for i := range 9 {
			w.accept(id, w.user(0, i), "")
		}
		for offset := range int64(5) {
			fakebook.Consume(w.book, w.log, 0, offset)
		}
		w.log.Commit(0, 4)
		next := int64(5)
		w.fake.AfterPage = func() { // the consumer goes on meanwhile
			fakebook.Consume(w.book, w.log, 0, next)
			next++
			w.log.Commit(0, next)
		}
		w.gate.Flush("")
		report := w.rebuild(w.ref(id).Tag)
		require.EqualValues(t, 5, report.Tags[0].Rows)
		require.EqualValues(t, 4, report.Tags[0].Tail)
		require.Greater(t, next, int64(7))
		w.settle()
		w.check()
	})
}

func TestBigCouponsAreLoadedInPagesAndChunks(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.fake.PageRows = reconcile.PageRows
		id := w.publish(0, nil, 1)
		const rows, tail = 2*reconcile.PageRows + 7, 12_345
		for n := range rows + tail {
			w.land(coupon.Place{CouponID: id, UserID: fmt.Sprintf("u%d", n), Nth: 1, Seq: int64(n + 1), Epoch: 1, AcceptedAt: time.Now()})
			if n == rows-1 {
				fakebook.ConsumeAll(w.book, w.log)
			}
		}
		var calls, largest int
		count := func(places []coupon.Place) {
			calls++
			largest = max(largest, len(places))
		}
		r := w.rebuilderWith("counting", &countingGate{Gates: w.gate, places: count})
		report, err := r.Rebuild(w.ctx, []string{w.ref(id).Tag}, true)
		require.NoError(t, err)
		require.EqualValues(t, rows, report.Tags[0].Rows)
		require.EqualValues(t, tail, report.Tags[0].Tail)
		require.LessOrEqual(t, largest, reconcile.PageRows)
		require.Equal(t, 3+10+3, calls, "a chunk of 10,000 goes in ten calls, the rest in three")
		require.EqualValues(t, rows+tail, w.view(id).Taken)
	})
}

func TestAnEventWithoutCouponsOpens(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		event := w.event()
		w.gate.Flush("")
		report := w.rebuild(coupon.EventTag(event))
		require.Equal(t, 1, report.Count(reconcile.Opened))
		id := w.publish(event, total(1), 1)
		w.accept(id, "ann", "")
	})
}
