package redisgate

import (
	"context"
	"strconv"

	"github.com/firstcome/firstcome/core/coupon"
)

// Views says what readers are told of coupons, in the order of the refs, in one round trip for each 64.
func (g *Gate) Views(ctx context.Context, refs []coupon.Ref) []ViewAnswer {
	answers := make([]ViewAnswer, len(refs))
	for i, c := range g.look(ctx, g.scripts.view, refs) {
		view, ok := viewOf(c)
		if c.err == nil && !ok {
			c.fail(errGarbled)
		}
		if c.err != nil {
			view = coupon.View{}
		}
		answers[i] = ViewAnswer{View: view, Err: c.err}
	}
	return answers
}

// Sound says whether the gates of coupons decide, in the order of the refs: nil, an UnsoundError, or unknown.
func (g *Gate) Sound(ctx context.Context, refs []coupon.Ref) []error {
	errs := make([]error, len(refs))
	for i, c := range g.look(ctx, g.scripts.sound, refs) {
		errs[i] = c.err
	}
	return errs
}

// look runs a script without arguments for each ref. A ref that no script could work with has its error in its call.
func (g *Gate) look(ctx context.Context, s script, refs []coupon.Ref) []*call {
	calls := make([]*call, len(refs))
	sent := make([]*call, 0, len(refs))
	for i, ref := range refs {
		calls[i] = &call{script: s, tag: ref.Tag, err: checkRef(ref)}
		if calls[i].err == nil {
			calls[i].keys = couponKeys(ref, 0)
			sent = append(sent, calls[i])
		}
	}
	g.run(ctx, sent)
	return calls
}

func viewOf(c *call) (coupon.View, bool) {
	var v coupon.View
	head, ok := c.ints(3)
	if !ok || len(c.reply) != 11 {
		return v, false
	}
	state, okState := c.text(3)
	opens, okOpens := c.instant(4)
	closes, okCloses := c.instant(5)
	total, okTotal := c.text(6)
	taken, okTaken := c.reply[7].(int64)
	pending, okPending := c.reply[8].(int64)
	changing, okChanging := c.reply[9].(int64)
	members, okMembers := c.reply[10].(int64)
	if !okState || !okOpens || !okCloses || !okTotal || !okTaken || !okPending || !okChanging || !okMembers {
		return v, false
	}
	if total != "" {
		n, err := strconv.ParseInt(total, 10, 64)
		if err != nil {
			return v, false
		}
		v.Total = &n
	}
	v.State, v.OpensAt, v.ClosesAt = coupon.State(state), opens, closes
	v.Epoch, v.Generation, v.Now = head[0], head[1], micros(head[2])
	v.Taken, v.Pending, v.Members, v.Changing = taken, pending, members, changing == 1
	return v, true
}

// Holder says which place a user has: verdict Holder, Pending or Revoked with the place, or verdict 0 without one when
// the user has none. nth 0 asks for the user's latest place, that is the one with the greatest number.
func (g *Gate) Holder(ctx context.Context, ref coupon.Ref, userID string, nth int) (coupon.Place, coupon.Verdict, error) {
	if err := checkRef(ref); err != nil {
		return coupon.Place{}, 0, err
	}
	if nth < 0 || nth > ref.PerUserLimit || !plain(userID) {
		return coupon.Place{}, 0, nil // nobody is called so, and nobody has such a place
	}
	first, last := nth, nth
	if nth == 0 {
		first, last = 1, ref.PerUserLimit
	}
	args := make([]any, 0, last-first+1)
	for n := first; n <= last; n++ {
		args = append(args, fieldOf(userID, n, ref.PerUserLimit))
	}
	c := &call{script: g.scripts.holder, tag: ref.Tag, keys: couponKeys(ref, 0), args: args}
	g.run(ctx, []*call{c})
	if c.err != nil || len(c.reply) == 1 {
		return coupon.Place{}, 0, c.err
	}
	head, ok := c.ints(2)
	value, isText := c.text(2)
	h, isHeld := parseHeld(value)
	if !ok || !isText || !isHeld || len(c.reply) != 4 {
		c.fail(errGarbled)
		return coupon.Place{}, 0, c.err
	}
	verdict := coupon.Holder
	switch {
	case h.revoked:
		verdict = coupon.Revoked
	case c.reply[3] == int64(1):
		verdict = coupon.Pending
	}
	return coupon.Place{
		CouponID: ref.CouponID, UserID: userID, Nth: first + int(head[1]) - 1, Seq: h.seq, Epoch: head[0],
		AcceptedAt: h.at, Key: h.key, Revoked: h.revoked,
	}, verdict, nil
}
