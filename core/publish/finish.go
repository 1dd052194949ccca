package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	// finishAfter is how old an open change must be before another one than its maker takes it up: longer than its
	// maker goes on. Safety does not rest on it.
	finishAfter = 2 * stepsTimeout
	// finishAtOnce bounds the changes of one Finish; the rest is for the next one.
	finishAtOnce = 500
)

// Finish takes up changes that their makers left half done (a crash, a gate that was not sound) and brings them to
// their ends. n is how many it ended, whichever way. err joins why the others are still open; they are found again.
//
// A new tag whose publisher crashed needs no Finish: its gate is not sound, and the next who notices (a claim, the
// sweeper, batch) has it rebuilt.
func (p *Publisher) Finish(ctx context.Context) (n int, err error) {
	open, err := p.book.OpenChanges(ctx, finishAfter, finishAtOnce)
	if err != nil {
		return 0, fmt.Errorf("look for open changes: %w", err)
	}
	var errs []error
	for _, c := range open {
		if ctx.Err() != nil {
			return n, errors.Join(append(errs, ctx.Err())...)
		}
		ref, err := p.refs.Refresh(ctx, c.CouponID)
		if err == nil {
			err = p.run(ctx, ref, c)
		}
		if err != nil && !errors.Is(err, coupon.ErrSuperseded) && !errors.Is(err, coupon.ErrBelowIssued) {
			errs = append(errs, fmt.Errorf("coupon %d: %w", c.CouponID, err))
			continue
		}
		n++
	}
	return n, errors.Join(errs...)
}
