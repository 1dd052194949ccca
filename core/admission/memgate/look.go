package memgate

import (
	"context"

	"github.com/firstcome/firstcome/core/coupon"
)

// Views says what readers are told of coupons, in the order of the refs.
func (g *Gate) Views(ctx context.Context, refs []coupon.Ref) []coupon.ViewAnswer {
	answers := make([]coupon.ViewAnswer, len(refs))
	for i, ref := range refs {
		if answers[i].Err = ctx.Err(); answers[i].Err == nil {
			answers[i].View, answers[i].Err = g.view(ref)
		}
	}
	return answers
}

func (g *Gate) view(ref coupon.Ref) (coupon.View, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, c, err := g.sound(ref)
	if err != nil {
		return coupon.View{}, err
	}
	now := g.clock()
	terms, waiting := c.at(now)
	return coupon.View{
		Terms: microTerms(terms), Taken: c.admitted, Pending: c.pendingN, Members: membersOf(t, ref), Epoch: t.gate.epoch, Generation: t.gate.generation,
		Changing: waiting != nil, Now: now,
	}, nil
}

func membersOf(t *tag, ref coupon.Ref) int64 {
	if ref.EventID == 0 {
		return 0
	}
	return t.gate.membersN
}

// EachName calls each for every user who has a place at the coupon; where taking it uses up the user's place in the event,
// for every member of the event.
func (g *Gate) EachName(ctx context.Context, ref coupon.Ref, each func(userID string)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, _, err := g.sound(ref)
	if err = firstError(err, ctx.Err()); err != nil {
		return err
	}
	if ref.Member {
		for user := range t.members {
			each(user)
		}
		return nil
	}
	for at := range t.holders[ref.CouponID] {
		each(at.user)
	}
	return nil
}

// Sound says whether the gates of coupons decide, in the order of the refs: nil or an UnsoundError.
func (g *Gate) Sound(ctx context.Context, refs []coupon.Ref) []error {
	g.mu.Lock()
	defer g.mu.Unlock()
	errs := make([]error, len(refs))
	for i, ref := range refs {
		if errs[i] = ctx.Err(); errs[i] == nil {
			_, _, errs[i] = g.sound(ref)
		}
	}
	return errs
}

// Holder says which place a user has: verdict Holder, Pending or Revoked with the place, or verdict 0 without one. nth 0
// asks for the place with the greatest number.
func (g *Gate) Holder(ctx context.Context, ref coupon.Ref, userID string, nth int) (coupon.Place, coupon.Verdict, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := checkRef(ref); err != nil || ctx.Err() != nil {
		return coupon.Place{}, 0, firstError(err, ctx.Err())
	}
	if nth < 0 || nth > ref.PerUserLimit || !coupon.ValidUserID(userID) {
		return coupon.Place{}, 0, nil
	}
	t, _, err := g.sound(ref)
	if err != nil {
		return coupon.Place{}, 0, err
	}
	var latest slot
	var its held
	for n := 1; n <= ref.PerUserLimit; n++ {
		at := slot{user: userID, nth: n}
		h, holds := t.holders[ref.CouponID][at]
		if holds && (nth == 0 || nth == n) && h.seq > its.seq {
			latest, its = at, h
		}
	}
	if its.seq == 0 {
		return coupon.Place{}, 0, nil
	}
	verdict := coupon.Holder
	if its.revoked {
		verdict = coupon.Revoked
	} else if _, waits := t.pending[ref.CouponID][latest]; waits {
		verdict = coupon.Pending
	}
	return placeOf(ref, latest, its, t.gate.epoch), verdict, nil
}
