package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// stepsTimeout bounds the steps that follow the book's word. They go on when the caller has left, since what the book
// has taken is only half done without them: some ten calls to gate and book of at most 1 s each.
const stepsTimeout = 10 * time.Second

// Deps are what a Publisher works with; all are needed.
type Deps struct {
	Book      Book
	Gate      Gate
	Refs      Refs
	M         time.Duration             // for how long a refusal may be remembered: a widening holds so much later
	OnUnsound func(coupon.UnsoundError) // asks for a rebuild; must not block
	Log       *slog.Logger
}

// Publisher puts coupons on offer and changes their terms. Any number of them may work at once, in any number of
// processes; its methods may be called at the same time.
type Publisher struct {
	book      Book
	gate      Gate
	refs      Refs
	m         time.Duration
	onUnsound func(coupon.UnsoundError)
	log       *slog.Logger
}

// New makes a Publisher.
func New(d Deps) *Publisher {
	return &Publisher{book: d.Book, gate: d.Gate, refs: d.Refs, m: d.M, onUnsound: d.OnUnsound, log: d.Log}
}

// KeptError says that the book has taken what was asked for and the gate has not (or not known to have): it will be
// completed without the caller. Err is why, for example a coupon.UnsoundError.
type KeptError struct {
	Revision int64 // of the change; 0: an event or a coupon that is published
	Err      error
}

func (e *KeptError) Error() string {
	if e.Revision == 0 {
		return fmt.Sprintf("kept; the gate will open without further asking: %v", e.Err)
	}
	return fmt.Sprintf("the change is kept as revision %d and will be completed: %v", e.Revision, e.Err)
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *KeptError) Unwrap() error { return e.Err }

// goOn is a context for the steps that follow the book's word.
func goOn(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), stepsTimeout)
}

// pause waits, or returns why it need not.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unsound reports a gate that is not sound, if that is what err says.
func (p *Publisher) unsound(err error) {
	var gate *coupon.UnsoundError
	if errors.As(err, &gate) {
		p.onUnsound(*gate)
	}
}

// missesCoupons says whether the gate was only asked with an old list of the event's coupons.
func missesCoupons(err error) bool {
	var gate *coupon.UnsoundError
	return errors.As(err, &gate) && gate.Why == coupon.WhyCoupons
}

// isUnknown says whether err leaves open what the gate did.
func isUnknown(err error) bool {
	return err != nil && !errors.Is(err, coupon.ErrOvertaken) && !errors.Is(err, coupon.ErrUnsound) &&
		!errors.Is(err, coupon.ErrSuperseded) && !errors.Is(err, coupon.ErrBelowIssued) && !errors.Is(err, coupon.ErrTooEarly)
}
