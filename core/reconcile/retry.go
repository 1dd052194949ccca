package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

const (
	// MaxAttempts is how often a failed event is sent through the gate before a person has to decide: with the pauses
	// between them about twenty minutes.
	MaxAttempts = 8
	// firstPause doubles with each attempt up to lastPause.
	firstPause = 10 * time.Second
	lastPause  = time.Hour
	// retryAtOnce bounds the claims under way, so that the gate groups them and no user's claim waits for them.
	retryAtOnce = 16
	// retryLease is for how long another retrier leaves the events alone: a full run of a slow gate takes less.
	retryLease = 5 * time.Minute
	// maxUnknown is how many unknown outcomes end a run: by then it is not the event.
	maxUnknown = 16
)

// FailedBook keeps the failed events.
type FailedBook interface {
	// DueFailed are waiting events whose time has come, leased to owner.
	DueFailed(ctx context.Context, limit int, owner string, lease time.Duration) ([]coupon.FailedEvent, error)
	// CloseFailed gives a waiting event its last status and ends its lease.
	CloseFailed(ctx context.Context, id int64, status coupon.FailedStatus) error
	// PostponeFailed counts one more attempt of an event that had so many, keeps why it failed and ends the lease;
	// quarantine: no further attempt. Where the attempts are others by now nothing changes: each is counted once.
	PostponeFailed(ctx context.Context, id int64, attempts int, next time.Time, why string, quarantine bool) error
	// HasIssue says whether the user has a row of this coupon, or, where it counts for its event, of any coupon of it.
	// coupon.ErrNotFound: no such coupon.
	HasIssue(ctx context.Context, couponID int64, userID string) (bool, error)
}

// Desk sends a claim through gate and journal like any other, a settled holder too. nil and a verdict that is a place:
// the journal has a record of it and the gate confirmed it.
type Desk interface {
	Replay(ctx context.Context, couponID int64, userID, key string) (coupon.Verdict, error)
}

// DeskFunc is a function as a Desk.
type DeskFunc func(ctx context.Context, couponID int64, userID, key string) (coupon.Verdict, error)

// Replay calls f.
func (f DeskFunc) Replay(ctx context.Context, couponID int64, userID, key string) (coupon.Verdict, error) {
	return f(ctx, couponID, userID, key)
}

// RetrierDeps are what a Retrier works with; all are needed.
type RetrierDeps struct {
	Book   FailedBook
	Desk   Desk
	Decode func([]byte) (coupon.Place, error)
	Owner  string // who retries, different for each process
	Log    *slog.Logger
}

// Retrier sends failed events through the gate again. Never straight into the ledger: a row without a place at the gate
// would be one too many (invariant I5).
type Retrier struct{ deps RetrierDeps }

// NewRetrier makes a Retrier.
func NewRetrier(d RetrierDeps) *Retrier { return &Retrier{d} }

// RetryReport is what a run did.
type RetryReport struct {
	Taken       int // events that were due
	Replayed    int // the journal has a new record of them; if that fails too, it is a failed event of its own
	Postponed   int // refused by the gate, due again later
	Quarantined int // for a person to decide
	Waiting     int // their gate is not sound, or its answer was lost; due again when the lease is over, nothing counted
}

// String is one line for people.
func (r RetryReport) String() string {
	return fmt.Sprintf("%d due: %d replayed, %d postponed, %d quarantined, %d waiting for their gates",
		r.Taken, r.Replayed, r.Postponed, r.Quarantined, r.Waiting)
}

// Run retries up to limit events that are due. An outage of gate, journal or book is no attempt: the events stay as
// they are and the error says so.
func (r *Retrier) Run(ctx context.Context, limit int) (RetryReport, error) {
	events, err := r.deps.Book.DueFailed(ctx, limit, r.deps.Owner, retryLease)
	if err != nil {
		return RetryReport{}, fmt.Errorf("look for failed events: %w", err)
	}
	run := &retryRun{Retrier: r, report: RetryReport{Taken: len(events)}}
	// In any order: events that end the run by unknown outcomes are not always the first.
	rand.Shuffle(len(events), func(i, k int) { //nolint:gosec // an order is no secret
		events[i], events[k] = events[k], events[i]
	})
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(retryAtOnce)
	for _, event := range events {
		group.Go(func() error {
			if groupCtx.Err() != nil {
				run.count(&run.report.Waiting)
				return groupCtx.Err() // the first error is told, and that is what ended the run
			}
			return run.retry(groupCtx, event)
		})
	}
	err = group.Wait()
	if len(events) > 0 {
		r.deps.Log.Info("failed events retried", "taken", run.report.Taken, "replayed", run.report.Replayed,
			"postponed", run.report.Postponed, "quarantined", run.report.Quarantined, "waiting", run.report.Waiting)
	}
	return run.report, err
}

type retryRun struct {
	*Retrier
	mu      sync.Mutex
	report  RetryReport
	unknown int
}

func (r *retryRun) count(n *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
}

// retry takes one event as far as it comes. Its error ends the run.
func (r *retryRun) retry(ctx context.Context, event coupon.FailedEvent) error {
	if event.Attempts >= MaxAttempts {
		return r.quarantine(ctx, event, fmt.Sprintf("%d attempts; the last: %s", event.Attempts, event.Error))
	}
	place, err := r.deps.Decode(event.Payload)
	if err != nil {
		return r.quarantine(ctx, event, fmt.Sprintf("cannot be sent again: %v", err))
	}
	if event.Reason == coupon.FailEventLimit {
		var has bool
		has, err = r.deps.Book.HasIssue(ctx, place.CouponID, place.UserID)
		switch {
		case errors.Is(err, coupon.ErrNotFound): // the desk says so too
		case err != nil:
			return r.lost(event, err)
		case has:
			return r.quarantine(ctx, event, "not sent again: the user has a coupon of this event")
		}
	}
	verdict, err := r.deps.Desk.Replay(withAttempts(ctx, event.Attempts+1), place.CouponID, place.UserID, place.Key)
	var field *coupon.FieldError
	switch {
	case err == nil && verdict.Place():
		crashpoint.At("retry.replayed")
		if err = r.deps.Book.CloseFailed(ctx, event.ID, coupon.FailedReplayed); err != nil {
			return r.lost(event, err) // to replay it again makes a duplicate, nothing worse
		}
		r.count(&r.report.Replayed)
		return nil
	case err == nil:
		return r.postpone(ctx, event, fmt.Sprintf("the gate refuses: %s", verdict))
	case errors.Is(err, coupon.ErrNotFound), errors.As(err, &field):
		return r.postpone(ctx, event, err.Error())
	case errors.Is(err, coupon.ErrUnsound):
		r.count(&r.report.Waiting)
		return nil
	default:
		return r.lost(event, err)
	}
}

// postpone counts an attempt. A refusal may end (more places, a reopening), so it is one too; after the last there is
// nothing to wait for.
func (r *retryRun) postpone(ctx context.Context, event coupon.FailedEvent, why string) error {
	attempts := event.Attempts + 1
	if attempts >= MaxAttempts {
		return r.quarantine(ctx, event, why)
	}
	next := time.Now().Add(jitter(min(firstPause<<attempts, lastPause)))
	if err := r.deps.Book.PostponeFailed(ctx, event.ID, event.Attempts, next, why, false); err != nil {
		return r.lost(event, err)
	}
	r.count(&r.report.Postponed)
	return nil
}

func (r *retryRun) quarantine(ctx context.Context, event coupon.FailedEvent, why string) error {
	if err := r.deps.Book.PostponeFailed(ctx, event.ID, event.Attempts, time.Now(), why, true); err != nil {
		return r.lost(event, err)
	}
	r.count(&r.report.Quarantined)
	r.deps.Log.Warn("a failed event is quarantined", "id", event.ID, "reason", event.Reason, "coupon_id", event.CouponID, "why", why)
	return nil
}

// lost leaves an event as it is. Several of them end the run.
func (r *retryRun) lost(event coupon.FailedEvent, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Waiting++
	if r.unknown++; r.unknown >= maxUnknown {
		return fmt.Errorf("retry failed event %d: %w", event.ID, err)
	}
	r.deps.Log.Warn("the outcome of a retry is not known, it comes again", "id", event.ID, "error", err)
	return nil
}

type attemptsKey struct{}

func withAttempts(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, attemptsKey{}, n)
}

// Attempts is how many attempts a claim has behind it that is replayed under this context, the present one included; 0
// for any other claim. The journal writes it beside the record, so that a record that fails again goes on counting.
func Attempts(ctx context.Context) int {
	n, _ := ctx.Value(attemptsKey{}).(int)
	return n
}
