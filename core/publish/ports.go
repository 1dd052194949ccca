package publish

import (
	"context"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// Gate opens new gates and carries changes to them. All calls but Mark are safe to run twice; an error that is none of
// coupon's is an unknown outcome.
type Gate interface {
	// Mark closes the gates that are absent or of a smaller epoch with a mark and returns its token (rule 18).
	// coupon.ErrOvertaken: the gate is of this epoch or newer. Never repeated: a second mark would be another one.
	Mark(ctx context.Context, marks []coupon.Mark) []coupon.MarkAnswer
	// Open opens what still carries its mark (rule 25). Already open under the same mark: nil.
	// coupon.ErrOvertaken: it is not this mark's any more.
	Open(ctx context.Context, openings []coupon.Opening) []error
	// Join adds an empty coupon to the sound gate of a live event (rule 29), if the gate is of that epoch. A coupon
	// that the gate knows already is left as it is: nil. coupon.ErrOvertaken: the gate is of another epoch.
	Join(ctx context.Context, c coupon.OpeningCoupon, epoch int64) error
	// Change gives a sound gate the terms of one revision and returns the gate's epoch (rules 26 and 27).
	//
	// Whatever the gate held before, it ends with exactly these terms: where they are narrower than what decides now
	// they hold at once; where they are wider they hold Wait later (or when what waits already was to hold). Narrowing
	// can meet a gate that is narrower than the book, when a change before it lost or a raise is still on its way.
	//
	// coupon.ErrSuperseded: the gate has a greater revision. The gate's own revision: nil, nothing changes.
	// coupon.ErrBelowIssued (narrowing only): more are admitted than the new total; nothing changes, the gate's
	// revision neither. A widening that finds a gate of a greater epoch than its own is done: that gate has it.
	Change(ctx context.Context, change coupon.TermsChange) (epoch int64, err error)
}

// Book is the ledger as publishing needs it.
type Book interface {
	Shelf
	Changes
	Reader
}

// Shelf takes new events and coupons.
type Shelf interface {
	// CreateEvent stores the event and its gates row (epoch 1) in one transaction. coupon.ErrNameTaken, ErrIDTaken.
	CreateEvent(ctx context.Context, e coupon.Event) error
	// CreateCoupons stores the good ones in one transaction, with the gates rows (epoch 1) of those without an event;
	// a bad one does not hurt its neighbours. Answers are in the order of coupons. The epoch of an event's gate is read
	// under a lock in that transaction, so that a rebuild of a greater epoch reads the new coupon.
	CreateCoupons(ctx context.Context, coupons []coupon.Coupon) []coupon.Created
	// Epochs are those that the database says at this moment, never a replica's or a snapshot's.
	Epochs(ctx context.Context, tags []string) (map[string]int64, error)
}

// Changes keeps the revisions of coupons (rule 26).
type Changes interface {
	// BeginChange takes the next revision and keeps what it wants and why. decide is called with the terms in the
	// book and the number of rows; its error ends the transaction and is returned, with no revision taken. When the
	// new terms widen the present ones they are stored in the same transaction (Stored), and Epoch, read there under
	// the lock of the gates row, tells which rebuilds read them. coupon.ErrNotFound: no such coupon.
	BeginChange(ctx context.Context, couponID int64,
		decide func(cur coupon.Terms, issued int64) (coupon.Terms, error), reason, by string) (coupon.Change, error)
	// ApplyChange stores c.To (not always what BeginChange was told: a change that narrows one term and widens
	// another comes here with Terms.Step) with c.Revision as the applied revision, if the gates row, read FOR UPDATE, has that epoch (else coupon.ErrOvertaken) and c is the latest
	// revision taken (else coupon.ErrSuperseded: a later one started from terms that this one is not part of).
	// Applied already: nil. coupon.ErrBelowIssued: more rows than the new total.
	ApplyChange(ctx context.Context, c coupon.Change, gateEpoch int64) error
	// EndChange notes what became of it: OutcomeDone, OutcomeRefused, OutcomeSuperseded. Ended already: nil.
	EndChange(ctx context.Context, c coupon.Change, outcome string) error
	// OpenChanges are those without an outcome that were begun longer ago, oldest first.
	OpenChanges(ctx context.Context, olderThan time.Duration, limit int) ([]coupon.Change, error)
}

// Reader reads one coupon; coupon.ErrNotFound.
type Reader interface {
	Coupon(ctx context.Context, id int64) (coupon.Coupon, error)
}

// Refs reads a coupon's reference freshly from the book, past every cache; coupon.ErrNotFound.
type Refs interface {
	Refresh(ctx context.Context, couponID int64) (coupon.Ref, error)
}

// Outcomes of a change, as EndChange keeps them.
const (
	OutcomeDone       = "done"
	OutcomeRefused    = "refused"
	OutcomeSuperseded = "superseded"
)
