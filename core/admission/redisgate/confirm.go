package redisgate

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// Confirm implements admission.Gate.
func (g *Gate) Confirm(ctx context.Context, calls []admission.ConfirmCall) []admission.ConfirmAnswer {
	answers := make([]admission.ConfirmAnswer, len(calls))
	sent := make([]*call, 0, len(calls))
	place := make([]int, 0, len(calls))
	for i, c := range calls {
		one, err := g.confirmCall(c)
		if err != nil {
			answers[i].Err = err
			continue
		}
		sent = append(sent, one)
		place = append(place, i)
	}
	g.run(ctx, sent)
	for j, one := range sent {
		answers[place[j]] = confirmAnswer(one, len(calls[place[j]].Places))
	}
	return answers
}

func (g *Gate) confirmCall(c admission.ConfirmCall) (*call, error) {
	if err := checkRef(c.Ref); err != nil {
		return nil, err
	}
	if len(c.Places) > admission.MaxBatch {
		return nil, fmt.Errorf("redisgate: %d places in one call, at most %d", len(c.Places), admission.MaxBatch)
	}
	args := make([]any, 0, 3*len(c.Places))
	for _, p := range c.Places {
		args = append(args, fieldOf(p.UserID, p.Nth, c.Ref.PerUserLimit), p.Seq, p.Epoch)
	}
	return &call{script: g.scripts.confirm, tag: c.Ref.Tag, keys: couponKeys(c.Ref, 0), args: args}, nil
}

func confirmAnswer(c *call, places int) admission.ConfirmAnswer {
	if c.err != nil {
		return admission.ConfirmAnswer{Err: c.err}
	}
	list, ok := c.text(0)
	if !ok || len(list) != places {
		c.fail(errGarbled)
		return admission.ConfirmAnswer{Err: c.err}
	}
	stands := make([]bool, places)
	for i := range stands {
		stands[i] = list[i] == '1'
	}
	return admission.ConfirmAnswer{Stands: stands}
}

// Sweepable implements admission.Gate.
func (g *Gate) Sweepable(ctx context.Context, ref coupon.Ref, sweep admission.Sweep) ([]coupon.Place, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	if sweep.Limit < 1 || sweep.Limit > admission.MaxBatch || sweep.Owner == "" || sweep.Lease.Milliseconds() < 1 {
		return nil, fmt.Errorf("redisgate: a sweep needs an owner, a lease of a millisecond or more and a limit from 1 to %d",
			admission.MaxBatch)
	}
	c := &call{
		script: g.scripts.sweep, tag: ref.Tag,
		keys: append(couponKeys(ref, 1), keysOf(ref.Tag).sweeper(ref.CouponID)),
		args: []any{sweep.Age.Microseconds(), sweep.Limit, sweep.Owner, sweep.Lease.Milliseconds()},
	}
	g.run(ctx, []*call{c})
	if c.err != nil {
		return nil, c.err
	}
	epoch, ok := c.ints(1)
	if !ok || len(c.reply)%2 == 0 {
		c.fail(errGarbled)
		return nil, c.err
	}
	places := make([]coupon.Place, 0, len(c.reply)/2)
	for i := 1; i < len(c.reply); i += 2 {
		p, ok := sweptPlace(c, i, ref)
		if !ok {
			c.fail(errGarbled)
			return nil, c.err
		}
		p.Epoch = epoch[0]
		places = append(places, p)
	}
	return places, nil
}

// sweptPlace reads a field and the holder's value after it.
func sweptPlace(c *call, i int, ref coupon.Ref) (coupon.Place, bool) {
	field, isText := c.text(i)
	value, isValue := c.text(i + 1)
	h, ok := parseHeld(value)
	if !isText || !isValue || !ok {
		return coupon.Place{}, false
	}
	p := coupon.Place{
		CouponID: ref.CouponID, UserID: field, Nth: 1, Seq: h.seq, AcceptedAt: h.at, Key: h.key, Revoked: h.revoked,
	}
	if ref.PerUserLimit > 1 {
		user, nth, found := strings.Cut(field, nthSeparator)
		n, err := strconv.Atoi(nth)
		if !found || err != nil {
			return coupon.Place{}, false
		}
		p.UserID, p.Nth = user, n
	}
	return p, true
}
