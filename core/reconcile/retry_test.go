package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/reconcile"
)

// failedBook keeps failed events in memory.
type failedBook struct {
	mu     sync.Mutex
	events map[int64]*coupon.FailedEvent
	has    map[string]bool // users with a row
	broken error
}

func (b *failedBook) DueFailed(_ context.Context, limit int, _ string, _ time.Duration) ([]coupon.FailedEvent, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var due []coupon.FailedEvent
	for _, e := range b.events {
		if e.Status == coupon.FailedWaiting && !e.NextAttemptAt.After(time.Now()) && len(due) < limit {
			due = append(due, *e)
		}
	}
	return due, b.broken
}

func (b *failedBook) CloseFailed(_ context.Context, id int64, status coupon.FailedStatus) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events[id].Status = status
	return nil
}

func (b *failedBook) PostponeFailed(_ context.Context, id int64, attempts int, next time.Time, why string, quarantine bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.events[id]
	if e.Attempts != attempts {
		return nil
	}
	e.Attempts++
	e.NextAttemptAt, e.Error = next, why
	if quarantine {
		e.Status = coupon.FailedQuarantined
	}
	return nil
}

func (b *failedBook) HasIssue(_ context.Context, couponID int64, user string) (bool, error) {
	if couponID == 404 {
		return false, coupon.ErrNotFound
	}
	return b.has[user], nil
}

// retrying is a retrier with events of one user each, and a desk that says what the test wants.
type retrying struct {
	book     *failedBook
	says     func(user string) (coupon.Verdict, error)
	mu       sync.Mutex
	attempts map[string][]int // that the journal would write beside the record
}

func retries(t *testing.T, test func(t *testing.T, r *retrying)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		test(t, &retrying{
			book: &failedBook{events: map[int64]*coupon.FailedEvent{}, has: map[string]bool{}}, attempts: map[string][]int{},
		})
	})
}

func (r *retrying) add(t *testing.T, user string, reason coupon.FailReason, attempts int) *coupon.FailedEvent {
	t.Helper()
	payload, err := json.Marshal(coupon.Place{CouponID: 7, UserID: user, Key: "k"})
	require.NoError(t, err)
	id := int64(len(r.book.events) + 1)
	r.book.events[id] = &coupon.FailedEvent{
		ID: id, Payload: payload, Reason: reason, Attempts: attempts, Status: coupon.FailedWaiting, UserID: user, CouponID: 7, Error: "first",
	}
	return r.book.events[id]
}

func (r *retrying) run(ctx context.Context) (reconcile.RetryReport, error) {
	return reconcile.NewRetrier(reconcile.RetrierDeps{
		Book: r.book, Owner: "me", Log: slog.New(slog.DiscardHandler),
		Decode: func(b []byte) (p coupon.Place, err error) { return p, json.Unmarshal(b, &p) },
		Desk: reconcile.DeskFunc(func(ctx context.Context, _ int64, user, key string) (coupon.Verdict, error) {
			r.mu.Lock()
			r.attempts[user] = append(r.attempts[user], reconcile.Attempts(ctx))
			r.mu.Unlock()
			if key != "k" {
				return 0, errors.New("the key is lost")
			}
			return r.says(user)
		}),
	}).Run(ctx, 100)
}

func TestAFailedEventGoesThroughTheGateLikeAnyClaim(t *testing.T) {
	retries(t, func(t *testing.T, r *retrying) {
		verdicts := map[string]coupon.Verdict{"new": coupon.Admitted, "waiting": coupon.Pending, "settled": coupon.Holder}
		for user := range verdicts {
			r.add(t, user, coupon.FailStaleEpoch, 2)
		}
		r.says = func(user string) (coupon.Verdict, error) { return verdicts[user], nil }
		report, err := r.run(context.Background())
		require.NoError(t, err)
		require.Equal(t, reconcile.RetryReport{Taken: 3, Replayed: 3}, report)
		for _, e := range r.book.events {
			require.Equal(t, coupon.FailedReplayed, e.Status)
		}
		require.Equal(t, map[string][]int{"new": {3}, "waiting": {3}, "settled": {3}}, r.attempts, "the record goes on counting")
		require.Zero(t, reconcile.Attempts(context.Background()))
	})
}

func TestARefusalIsAnAttemptUntilAPersonHasToDecide(t *testing.T) {
	retries(t, func(t *testing.T, r *retrying) {
		e := r.add(t, "ann", coupon.FailStaleEpoch, 0)
		r.says = func(string) (coupon.Verdict, error) { return coupon.SoldOut, nil }
		pause := 10 * time.Second
		for e.Status == coupon.FailedWaiting {
			before := time.Now()
			_, err := r.run(context.Background())
			require.NoError(t, err)
			if e.Status != coupon.FailedWaiting {
				break
			}
			pause *= 2
			next := e.NextAttemptAt.Sub(before)
			require.InDelta(t, pause.Seconds(), next.Seconds(), pause.Seconds()/4+0.001)
			wait(next)
		}
		require.Equal(t, reconcile.MaxAttempts, e.Attempts)
		require.Len(t, r.attempts["ann"], reconcile.MaxAttempts)
		require.Equal(t, coupon.FailedQuarantined, e.Status)
		require.Contains(t, e.Error, "sold_out")
	})
}

func TestARecordThatFailedOftenEnoughIsNotSentAgain(t *testing.T) {
	retries(t, func(t *testing.T, r *retrying) {
		e := r.add(t, "ann", coupon.FailRefusedByDB, reconcile.MaxAttempts) // the attempts came with the record
		report, err := r.run(context.Background())
		require.NoError(t, err)
		require.Equal(t, reconcile.RetryReport{Taken: 1, Quarantined: 1}, report)
		require.Empty(t, r.attempts)
		require.Contains(t, e.Error, "first")
	})
}

func TestWhatCannotBeDecodedIsForAPerson(t *testing.T) {
	retries(t, func(t *testing.T, r *retrying) {
		e := r.add(t, "ann", coupon.FailUndecodable, 0)
		e.Payload = []byte("{cut")
		report, err := r.run(context.Background())
		require.NoError(t, err)
		require.Equal(t, 1, report.Quarantined)
		require.Empty(t, r.attempts)
	})
}

func TestAnEventLimitThatIsTrueIsNotSentAgain(t *testing.T) {
	retries(t, func(t *testing.T, r *retrying) {
		has, hasNot := r.add(t, "has", coupon.FailEventLimit, 0), r.add(t, "has not", coupon.FailEventLimit, 0)
		r.book.has["has"] = true
		r.says = func(string) (coupon.Verdict, error) { return coupon.Admitted, nil }
		_, err := r.run(context.Background())
		require.NoError(t, err)
		require.Equal(t, coupon.FailedQuarantined, has.Status)
		require.Equal(t, coupon.FailedReplayed, hasNot.Status)
		require.Len(t, r.attempts, 1)
	})
}

func TestAnUnknownCouponIsAnAttempt(t *testing.T) {
	retries(t, func(t *testing.T, r *retrying) {
		e := r.add(t, "ann", coupon.FailUnknownCoupon, 0)
		r.says = func(string) (coupon.Verdict, error) { return 0, coupon.ErrNotFound }
		report, err := r.run(context.Background())
		require.NoError(t, err)
		require.Equal(t, 1, report.Postponed)
		require.Equal(t, 1, e.Attempts)
	})
}

func TestAnOutageIsNoAttempt(t *testing.T) {
	retries(t, func(t *testing.T, r *retrying) {
		for i := range 50 {
			r.add(t, string(rune('a'+i%26))+string(rune('a'+i/26)), coupon.FailStaleEpoch, 0)
		}
		down := errors.New("no broker")
		r.says = func(string) (coupon.Verdict, error) { return 0, down }
		report, err := r.run(context.Background())
		require.ErrorIs(t, err, down)
		require.Equal(t, 50, report.Waiting)
		require.Less(t, len(r.attempts), 50, "the rest is not tried")

		r.says = func(string) (coupon.Verdict, error) { return 0, &coupon.UnsoundError{Tag: "c7", Why: coupon.WhyNoGate} }
		report, err = r.run(context.Background())
		require.NoError(t, err, "one gate that is not sound is no outage")
		require.Equal(t, 50, report.Waiting)
		for _, e := range r.book.events {
			require.Zero(t, e.Attempts)
		}
	})
}

func TestABookThatDoesNotAnswerEndsTheRun(t *testing.T) {
	retries(t, func(t *testing.T, r *retrying) {
		r.book.broken = errors.New("no database")
		_, err := r.run(context.Background())
		require.ErrorIs(t, err, r.book.broken)
	})
}
