package publish

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// ChangeRequest is what an admin wants to be different, and why. Nil fields stay as they are.
type ChangeRequest struct {
	Total    **int64 // places; a pointer to nil is unlimited
	State    *coupon.State
	OpensAt  *time.Time
	ClosesAt *time.Time
	Reason   string // needed; at most coupon.MaxReason characters
	By       string // the admin's user id
}

// Change changes a coupon's terms (rules 26 and 27) and returns the coupon with them. What is narrower holds at once,
// what is wider holds M later.
//
// coupon.ErrNotFound, ErrBelowIssued, ErrSuperseded and FieldErrors mean that the coupon keeps the terms that others
// gave it. A KeptError means that the change will be completed by Finish, or refused then. After anything else it is
// not known whether the book has taken it. To ask again is safe after all of them.
func (p *Publisher) Change(ctx context.Context, couponID int64, req ChangeRequest) (coupon.Coupon, error) {
	if err := req.validate(); err != nil {
		return coupon.Coupon{}, err
	}
	ref, err := p.refs.Refresh(ctx, couponID)
	if err != nil {
		return coupon.Coupon{}, err
	}
	change, err := p.book.BeginChange(ctx, couponID, req.decide, req.Reason, req.By)
	if err != nil {
		return coupon.Coupon{}, err
	}
	crashpoint.At("change.begun")
	ctx, cancel := goOn(ctx)
	defer cancel()
	if err = p.run(ctx, ref, change); err != nil {
		return coupon.Coupon{}, err
	}
	changed, err := p.book.Coupon(ctx, couponID)
	if err != nil {
		return coupon.Coupon{}, fmt.Errorf("the change is done, but reading the coupon: %w", err)
	}
	return changed, nil
}

func (r ChangeRequest) validate() error {
	n := utf8.RuneCountInString(r.Reason)
	if strings.TrimSpace(r.Reason) == "" || n > coupon.MaxReason || !utf8.ValidString(r.Reason) {
		return &coupon.FieldError{Field: "reason", Detail: fmt.Sprintf("must have 1 to %d characters", coupon.MaxReason)}
	}
	return nil
}

// decide is the whole of the new terms (a revision carries all of them, or two admins would end with a mixture that
// neither asked for).
func (r ChangeRequest) decide(cur coupon.Terms, issued int64) (coupon.Terms, error) {
	to := cur
	if r.Total != nil {
		to.Total = *r.Total
	}
	if r.State != nil {
		to.State = *r.State
	}
	if r.OpensAt != nil {
		to.OpensAt = *r.OpensAt
	}
	if r.ClosesAt != nil {
		to.ClosesAt = *r.ClosesAt
	}
	if err := to.Validate(); err != nil {
		return coupon.Terms{}, err
	}
	if to.Total != nil && *to.Total < issued {
		return coupon.Terms{}, coupon.ErrBelowIssued // the gate has admitted at least these
	}
	return to, nil
}
