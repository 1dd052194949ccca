package redisgate

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/core/coupon"
)

// Mark closes the gates of tags, each for one attempt to open it (rule 18). Answers are in the order of the marks, each
// with the token that names the attempt from now on. Err is ErrOvertaken where the gate is of this epoch or a newer
// one. Any other error is a doubt: the mark may stand, and the caller starts over with a new epoch. The client never
// sends this call twice.
func (g *Gate) Mark(ctx context.Context, marks []coupon.Mark) []coupon.MarkAnswer {
	calls := make([]*call, len(marks))
	for i, m := range marks {
		calls[i] = &call{
			script: g.scripts.mark, tag: m.Tag, keys: []string{keysOf(m.Tag).gate()}, args: []any{m.Epoch}, once: true,
		}
	}
	g.run(ctx, calls)
	answers := make([]coupon.MarkAnswer, len(marks))
	for i, m := range marks {
		c := calls[i]
		answers[i].Mark = m
		token, ok := c.text(0)
		if c.err == nil && !ok {
			c.fail(errGarbled)
		}
		answers[i].Token, answers[i].Err = token, c.err
	}
	return answers
}

// Open opens marked gates with what was loaded for them (rule 25). Errors are in the order of the openings: nil also
// where the gate is open under this very mark already; ErrTooEarly while the mark is younger than Wait; ErrOvertaken
// where anything is not as it must be: give up and start over with a new epoch.
func (g *Gate) Open(ctx context.Context, openings []coupon.Opening) []error {
	errs := make([]error, len(openings))
	sent := make([]*call, 0, len(openings))
	place := make([]int, 0, len(openings))
	for i, o := range openings {
		c, err := g.openCall(o)
		if err != nil {
			errs[i] = err
			continue
		}
		sent = append(sent, c)
		place = append(place, i)
	}
	g.run(ctx, sent)
	for j, c := range sent {
		errs[place[j]] = c.err
	}
	return errs
}

func (g *Gate) openCall(o coupon.Opening) (*call, error) {
	k := keysOf(o.Tag)
	keys := make([]string, 0, 4+4*len(o.Coupons))
	keys = append(keys, k.gate(), k.members(), k.loadMembers(o.Mark), k.loadCalls(o.Mark))
	args := make([]any, 0, 5+9*len(o.Coupons))
	args = append(args, o.Epoch, o.Token, o.Wait.Microseconds(), flag(o.Event), o.Members)
	seen := make(map[int64]bool, len(o.Coupons))
	for _, c := range o.Coupons {
		switch {
		case c.Tag != o.Tag || seen[c.CouponID] || o.Event != (c.EventID != 0):
			return nil, fmt.Errorf("redisgate: opening of %s with a coupon %d that is not one of it", o.Tag, c.CouponID)
		case c.Returned < 0 || c.Holders < c.Returned || (c.Holders > 0 && c.LastSeq < 1):
			return nil, fmt.Errorf("redisgate: opening of %s: coupon %d has %d holders, %d of them returned, greatest seq %d",
				o.Tag, c.CouponID, c.Holders, c.Returned, c.LastSeq)
		}
		seen[c.CouponID] = true
		keys = append(keys, k.coupon(c.CouponID), k.holders(c.CouponID), k.pending(c.CouponID),
			k.loadHolders(o.Mark, c.CouponID))
		args = append(append(args, termsArgs(c.Terms)...), c.Revision, c.PerUserLimit, c.Holders, c.Returned, c.LastSeq)
	}
	return &call{script: g.scripts.open, tag: o.Tag, keys: keys, args: args}, nil
}

// Join lets a new coupon join the sound gate of its live event (rule 29). epoch is what the ledger said when it took the
// coupon; ErrOvertaken where the gate has another one. Nil also where the coupon is there already.
func (g *Gate) Join(ctx context.Context, c coupon.OpeningCoupon, epoch int64) error {
	if err := checkRef(c.Ref); err != nil {
		return err
	}
	if c.EventID == 0 {
		return fmt.Errorf("redisgate: coupon %d is of no event that it could join", c.CouponID)
	}
	args := append(append([]any{epoch}, termsArgs(c.Terms)...), c.Revision, c.PerUserLimit)
	one := &call{script: g.scripts.join, tag: c.Tag, keys: couponKeys(c.Ref, 0), args: args}
	g.run(ctx, []*call{one})
	return one.err
}

// Change takes one revision of a coupon's terms (rules 26 and 27) and returns the gate's epoch at which it holds. Errors:
// an UnsoundError; ErrSuperseded when the gate has a later revision; ErrBelowIssued when more is admitted than the new
// total. The gate's own revision again is done already.
func (g *Gate) Change(ctx context.Context, change coupon.TermsChange) (int64, error) {
	if err := checkRef(change.Ref); err != nil {
		return 0, err
	}
	args := append([]any{change.Revision, flag(change.Widen), change.Epoch, change.Wait.Microseconds()},
		termsArgs(change.To)...)
	c := &call{script: g.scripts.change, tag: change.Tag, keys: couponKeys(change.Ref, 0), args: args}
	g.run(ctx, []*call{c})
	if c.err != nil {
		return 0, c.err
	}
	epoch, ok := c.ints(1)
	if !ok {
		c.fail(errGarbled)
		return 0, c.err
	}
	return epoch[0], nil
}

// termsArgs are terms as every script takes them: state, opens, closes, cap.
func termsArgs(t coupon.Terms) []any {
	return []any{string(t.State), t.OpensAt.UnixMicro(), t.ClosesAt.UnixMicro(), totalText(t.Total)}
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}
