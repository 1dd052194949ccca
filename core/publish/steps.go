package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

const (
	// changeTries bounds how often a narrowing goes back to the gate because a rebuild came between gate and book, or
	// because a coupon joined the event.
	changeTries = 3
	changePause = 50 * time.Millisecond // between two tries: a rebuild marks the gate a few ms after its epoch
)

// run takes a change from wherever it was left to its end. Every step may have been done before, by us or by another
// one who is at it now. nil: done. coupon.ErrBelowIssued, ErrSuperseded: ended without it. KeptError: still open.
func (p *Publisher) run(ctx context.Context, ref coupon.Ref, c coupon.Change) error {
	if c.Stored {
		return p.widen(ctx, ref, c)
	}
	step := c.From.Step(c.To)
	if err := p.narrow(ctx, ref, c, step); err != nil {
		return err
	}
	if step.Same(c.To) {
		p.end(ctx, c, OutcomeDone)
		return nil
	}
	return p.rest(ctx, ref, c, step)
}

// narrow brings c's narrower terms to the gate, and then to the book, if the gate is still of the same reign then
// (rule 26). The gate is asked first because it alone knows what was promised and is still in the journal.
func (p *Publisher) narrow(ctx context.Context, ref coupon.Ref, c coupon.Change, to coupon.Terms) error {
	var err error
	for range changeTries {
		var epoch int64
		epoch, err = p.gate.Change(ctx, coupon.TermsChange{Ref: ref, To: to, Revision: c.Revision, Wait: p.m})
		switch {
		case missesCoupons(err):
			if ref, err = p.refs.Refresh(ctx, c.CouponID); err != nil {
				return p.keep(c, fmt.Errorf("look for the coupons of the event: %w", err))
			}
			err = &coupon.UnsoundError{Tag: ref.Tag, Why: coupon.WhyCoupons}
			continue
		case errors.Is(err, coupon.ErrBelowIssued):
			return p.refuse(ctx, ref, c, false)
		case errors.Is(err, coupon.ErrSuperseded):
			return p.superseded(ctx, c)
		case err != nil:
			return p.keep(c, err)
		}
		crashpoint.At("change.at-gate")
		stored := c
		stored.To = to
		err = p.book.ApplyChange(ctx, stored, epoch)
		switch {
		case err == nil:
			crashpoint.At("change.stored")
			return nil
		case errors.Is(err, coupon.ErrBelowIssued):
			return p.refuse(ctx, ref, c, true)
		case errors.Is(err, coupon.ErrSuperseded):
			return p.superseded(ctx, c)
		case !errors.Is(err, coupon.ErrOvertaken):
			return p.keep(c, err)
		}
		if waitErr := pause(ctx, changePause); waitErr != nil { // a rebuild came between: the gate again
			return p.keep(c, waitErr)
		}
	}
	if errors.Is(err, coupon.ErrOvertaken) { // it is no rebuild that comes, but one that stopped before its mark
		p.onUnsound(coupon.UnsoundError{Tag: ref.Tag, Why: coupon.WhyBehind})
	}
	return p.keep(c, err)
}

// widen brings c's wider terms, which the book has, to the gate, where they hold M later (rule 27).
func (p *Publisher) widen(ctx context.Context, ref coupon.Ref, c coupon.Change) error {
	step := coupon.TermsChange{Ref: ref, To: c.To, Revision: c.Revision, Widen: true, Wait: p.m, Epoch: c.Epoch}
	_, err := p.gate.Change(ctx, step)
	if missesCoupons(err) {
		if step.Ref, err = p.refs.Refresh(ctx, c.CouponID); err != nil {
			return p.keep(c, fmt.Errorf("look for the coupons of the event: %w", err))
		}
		_, err = p.gate.Change(ctx, step)
	}
	switch {
	case err == nil, errors.Is(err, coupon.ErrOvertaken): // a gate of a newer epoch has read the book
		crashpoint.At("change.widened")
		p.end(ctx, c, OutcomeDone)
		return nil
	case errors.Is(err, coupon.ErrSuperseded):
		return p.superseded(ctx, c)
	default:
		return p.keep(c, err)
	}
}

// rest is the second half of a change that narrows one term and widens another: a revision of its own, which the book
// stores if the first half still stands there.
func (p *Publisher) rest(ctx context.Context, ref coupon.Ref, c coupon.Change, step coupon.Terms) error {
	second, err := p.book.BeginChange(ctx, c.CouponID, func(cur coupon.Terms, _ int64) (coupon.Terms, error) {
		if !cur.Same(step) {
			return coupon.Terms{}, coupon.ErrSuperseded
		}
		return c.To, nil
	}, c.Reason, c.By)
	switch {
	case errors.Is(err, coupon.ErrSuperseded):
		return p.superseded(ctx, c)
	case err != nil:
		return p.keep(c, err)
	}
	p.end(ctx, c, OutcomeDone)
	return p.widen(ctx, ref, second)
}

// refuse ends a change that would go below what is admitted. Another one who is at the same change may still bring it to
// the gate when less is admitted there (a rebuild leaves out what was never promised), and nobody would look after it then;
// an earlier change may have reached the gate and then lost its place in the book to this one. So unless somebody later
// sees to the gate, the book's terms are given to it again under a revision of their own, against which this one loses
// wherever it comes late. reached says that this change itself is at the gate.
func (p *Publisher) refuse(ctx context.Context, ref coupon.Ref, c coupon.Change, reached bool) error {
	now, err := p.book.Coupon(ctx, c.CouponID)
	if err != nil {
		return p.keep(c, err)
	}
	if !reached && now.Revision != c.Revision {
		p.end(ctx, c, OutcomeRefused)
		return coupon.ErrBelowIssued
	}
	again, err := p.book.BeginChange(ctx, c.CouponID, func(cur coupon.Terms, _ int64) (coupon.Terms, error) {
		return cur, nil
	}, fmt.Sprintf("restates the terms after revision %d was refused", c.Revision), c.By)
	if err != nil {
		return p.keep(c, err)
	}
	if err := p.widen(ctx, ref, again); err != nil && !errors.Is(err, coupon.ErrSuperseded) {
		p.log.Warn("terms are restated later", "coupon_id", c.CouponID, "revision", again.Revision, "error", err)
	}
	p.end(ctx, c, OutcomeRefused)
	return coupon.ErrBelowIssued
}

// superseded ends a change that lost against a later one. The gate needs no mending: the later one has reached it, or
// will, and a gate ends with exactly the terms of the last that reached it.
func (p *Publisher) superseded(ctx context.Context, c coupon.Change) error {
	p.end(ctx, c, OutcomeSuperseded)
	return coupon.ErrSuperseded
}

// keep leaves a change open for Finish.
func (p *Publisher) keep(c coupon.Change, err error) error {
	p.unsound(err)
	p.log.Warn("a change is kept and will be completed", "coupon_id", c.CouponID, "revision", c.Revision, "error", err)
	return &KeptError{Revision: c.Revision, Err: err}
}

// end notes how a change ended. If that fails the change has ended all the same: Finish finds it open, goes its steps
// again, which change nothing, and notes it then.
func (p *Publisher) end(ctx context.Context, c coupon.Change, outcome string) {
	if err := p.book.EndChange(ctx, c, outcome); err != nil {
		p.log.Warn("the end of a change is not noted", "coupon_id", c.CouponID, "revision", c.Revision, "outcome", outcome, "error", err)
		return
	}
	crashpoint.At("change.ended")
	p.log.Info("a change has ended", "coupon_id", c.CouponID, "revision", c.Revision, "outcome", outcome)
}
