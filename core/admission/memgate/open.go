package memgate

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/core/coupon"
)

// Mark closes the gates of tags, each for one attempt to open it (rule 18).
func (g *Gate) Mark(ctx context.Context, marks []coupon.Mark) []coupon.MarkAnswer {
	answers := make([]coupon.MarkAnswer, len(marks))
	for i, m := range marks {
		answers[i].Mark = m
		if err := ctx.Err(); err != nil {
			answers[i].Err = err
			continue
		}
		answers[i].Token, answers[i].Err = g.mark(m)
	}
	return answers
}

func (g *Gate) mark(m coupon.Mark) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.of(m.Tag)
	var generation int64
	if t.gate != nil {
		if t.gate.epoch >= m.Epoch {
			return "", fmt.Errorf("memgate: mark %s: %w (%d)", m.Tag, coupon.ErrOvertaken, t.gate.epoch)
		}
		generation = t.gate.generation
	}
	now := g.clock()
	t.gate = &gate{
		epoch: m.Epoch, server: g.server, token: fmt.Sprintf("%d-%d", now.UnixMicro(), m.Epoch), marked: now,
		generation: generation,
	}
	return t.gate.token, nil
}

// marked returns the state of a tag that is marked by this very attempt, and what it has loaded.
func (g *Gate) marked(m coupon.Mark) (*tag, *load, error) {
	t := g.of(m.Tag)
	if t.gate == nil || t.gate.open || t.gate.epoch != m.Epoch || t.gate.token != m.Token {
		return nil, nil, fmt.Errorf("memgate: %s: %w", m.Tag, coupon.ErrOvertaken)
	}
	l := t.loads[m]
	if l == nil {
		l = &load{holders: make(map[int64]map[slot]held), members: make(map[string]bool)}
		t.loads[m] = l
	}
	return t, l, nil
}

// LoadRows puts holders that are rows of the ledger under the mark; rows come before LoadTail's records.
func (g *Gate) LoadRows(ctx context.Context, m coupon.Mark, ref coupon.Ref, rows []coupon.Place) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := checkRef(ref); err != nil || ctx.Err() != nil || len(rows) == 0 {
		return firstError(err, ctx.Err())
	}
	_, l, err := g.marked(m)
	if err != nil {
		return err
	}
	for _, p := range rows {
		put(l.holders, ref.CouponID, slotOf(ref, p.UserID, p.Nth), heldOf(p))
		if ref.Member {
			l.members[p.UserID] = true
		}
	}
	return nil
}

// LoadTail adds places of the journal, in its order, under the mark, and returns how many were new: rows and earlier
// records win, in an event also those of its other coupons.
func (g *Gate) LoadTail(ctx context.Context, m coupon.Mark, ref coupon.Ref, places []coupon.Place) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := checkRef(ref); err != nil || ctx.Err() != nil || len(places) == 0 {
		return 0, firstError(err, ctx.Err())
	}
	_, l, err := g.marked(m)
	if err != nil {
		return 0, err
	}
	var added int64
	for _, p := range places {
		if ref.Member {
			if l.members[p.UserID] {
				continue
			}
			l.members[p.UserID] = true
		}
		at := slotOf(ref, p.UserID, p.Nth)
		if _, taken := l.holders[ref.CouponID][at]; taken {
			continue
		}
		p.Revoked = false
		put(l.holders, ref.CouponID, at, heldOf(p))
		added++
	}
	return added, nil
}

// Drop removes what was loaded for these coupons of the mark's tag.
func (g *Gate) Drop(ctx context.Context, m coupon.Mark, coupons []int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.of(m.Tag).loads[m]; l != nil && ctx.Err() == nil {
		clear(l.members)
		for _, id := range coupons {
			delete(l.holders, id)
		}
	}
	return ctx.Err()
}

// Open opens marked gates with what was loaded for them (rule 25).
func (g *Gate) Open(ctx context.Context, openings []coupon.Opening) []error {
	errs := make([]error, len(openings))
	for i, o := range openings {
		if errs[i] = ctx.Err(); errs[i] == nil {
			errs[i] = g.openOne(o)
		}
	}
	return errs
}

func (g *Gate) openOne(o coupon.Opening) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := checkOpening(o); err != nil {
		return err
	}
	t := g.of(o.Tag)
	if t.gate != nil && t.gate.open && t.gate.epoch == o.Epoch && t.gate.token == o.Token {
		return nil
	}
	t, l, err := g.marked(o.Mark)
	if err != nil {
		return err
	}
	if t.gate.server != g.server {
		return fmt.Errorf("memgate: %s was marked on another server: %w", o.Tag, coupon.ErrOvertaken)
	}
	if g.clock().Before(t.gate.marked.Add(o.Wait)) {
		return fmt.Errorf("memgate: open %s: %w", o.Tag, coupon.ErrTooEarly)
	}
	missing := o.Event && int64(len(l.members)) != o.Members
	for _, c := range o.Coupons {
		missing = missing || int64(len(l.holders[c.CouponID])) != c.Holders
	}
	if missing {
		return fmt.Errorf("memgate: %s has not what was loaded: %w", o.Tag, coupon.ErrOvertaken)
	}
	for _, c := range o.Coupons {
		delete(t.pending, c.CouponID)
		t.holders[c.CouponID] = l.holders[c.CouponID]
		t.coupons[c.CouponID] = &counters{
			terms: microTerms(c.Terms), revision: c.Revision, limit: c.PerUserLimit, admitted: c.Holders - c.Returned,
			returned: c.Returned, lastSeq: c.LastSeq,
		}
	}
	if o.Event {
		t.members = l.members
		t.gate.membersN = o.Members
	}
	delete(t.loads, o.Mark)
	t.gate.couponsN = int64(len(o.Coupons))
	t.gate.generation++
	t.gate.open = true
	return nil
}

func checkOpening(o coupon.Opening) error {
	seen := make(map[int64]bool, len(o.Coupons))
	for _, c := range o.Coupons {
		wrongCounts := c.Returned < 0 || c.Holders < c.Returned || (c.Holders > 0 && c.LastSeq < 1)
		if c.Tag != o.Tag || seen[c.CouponID] || o.Event != (c.EventID != 0) || wrongCounts {
			return fmt.Errorf("memgate: impossible opening of coupon %d in %s", c.CouponID, o.Tag)
		}
		seen[c.CouponID] = true
	}
	return nil
}

// Join lets a new coupon join the sound gate of its live event (rule 29).
func (g *Gate) Join(ctx context.Context, c coupon.OpeningCoupon, epoch int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := checkRef(c.Ref); err != nil || ctx.Err() != nil {
		return firstError(err, ctx.Err())
	}
	if c.EventID == 0 {
		return fmt.Errorf("memgate: coupon %d is of no event", c.CouponID)
	}
	t, err := g.soundGate(c.Tag)
	if err != nil {
		return err
	}
	if t.coupons[c.CouponID] != nil {
		_, _, err := g.sound(c.Ref)
		return err
	}
	if err := t.soundEvent(c.Ref); err != nil {
		return err
	}
	if t.gate.epoch != epoch {
		return fmt.Errorf("memgate: join %s: %w (%d)", c.Tag, coupon.ErrOvertaken, t.gate.epoch)
	}
	t.coupons[c.CouponID] = &counters{terms: microTerms(c.Terms), revision: c.Revision, limit: c.PerUserLimit}
	delete(t.holders, c.CouponID)
	delete(t.pending, c.CouponID)
	t.gate.couponsN++
	return nil
}

func heldOf(p coupon.Place) held {
	return held{seq: p.Seq, at: micro(p.AcceptedAt), key: p.Key, revoked: p.Revoked}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
