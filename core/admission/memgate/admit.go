package memgate

import (
	"context"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// Admit implements admission.Gate.
func (g *Gate) Admit(ctx context.Context, calls []admission.Call) []admission.Answer {
	answers := make([]admission.Answer, len(calls))
	for i, c := range calls {
		if err := ctx.Err(); err != nil {
			answers[i].Err = err
			continue
		}
		answers[i] = g.admit(c)
	}
	return answers
}

func (g *Gate) admit(call admission.Call) admission.Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := checkAsks(call); err != nil {
		return admission.Answer{Err: err}
	}
	t, c, err := g.sound(call.Ref)
	if err == nil && c.limit != call.Ref.PerUserLimit {
		err = unsound(call.Ref.Tag, coupon.WhyCoupon)
	}
	if err != nil {
		return admission.Answer{Err: err}
	}
	now := g.clock()
	terms, _ := c.at(now)
	a := admission.Answer{
		Decisions: make([]admission.Decision, len(call.Asks)),
		Epoch:     t.gate.epoch, Generation: t.gate.generation, Now: now, OpensAt: terms.OpensAt,
	}
	for i, ask := range call.Asks {
		a.Decisions[i] = t.decide(c, call.Ref, ask, terms, now)
	}
	return a
}

// decide is rule 3 for one claim.
func (t *tag) decide(c *counters, ref coupon.Ref, ask admission.Ask, terms coupon.Terms, now time.Time) admission.Decision {
	holders, pending := t.holders[ref.CouponID], t.pending[ref.CouponID]
	at, h, found := find(holders, ref, ask)
	if found {
		d := admission.Decision{Verdict: coupon.Holder, Nth: at.nth, Seq: h.seq, AcceptedAt: h.at}
		if h.revoked {
			d.Verdict = coupon.Revoked
		} else if _, waits := pending[at]; waits {
			d.Verdict = coupon.Pending
		}
		return d
	}
	elsewhere := ref.Member && t.members[ask.UserID] // a member without a place here has one of another coupon
	if v := refusal(terms, now, at.nth == 0, elsewhere, c.admitted); v != 0 {
		return admission.Decision{Verdict: v}
	}
	c.admitted++
	c.pendingN++
	c.lastSeq++
	h = held{seq: c.lastSeq, at: now}
	if ref.PerUserLimit > 1 {
		h.key = ask.Key
	}
	put(t.holders, ref.CouponID, at, h)
	put(t.pending, ref.CouponID, at, now)
	if ref.Member {
		t.members[ask.UserID] = true
		t.gate.membersN++
	}
	return admission.Decision{Verdict: coupon.Admitted, Nth: at.nth, Seq: h.seq, AcceptedAt: now}
}

// refusal is the first reason to give no new place; 0 is none.
func refusal(terms coupon.Terms, now time.Time, full, elsewhere bool, admitted int64) coupon.Verdict {
	switch {
	case terms.State == coupon.StateClosed || !now.Before(terms.ClosesAt):
		return coupon.Closed
	case now.Before(terms.OpensAt):
		return coupon.NotOpen
	case terms.State == coupon.StatePaused:
		return coupon.Paused
	case full:
		return coupon.UserLimit
	case elsewhere:
		return coupon.EventLimit
	case terms.Total != nil && admitted >= *terms.Total:
		return coupon.SoldOut
	}
	return 0
}

// find returns the place that this very claim has, or the smallest free slot for it; nth 0 where none is free.
func find(holders map[slot]held, ref coupon.Ref, ask admission.Ask) (slot, held, bool) {
	free := slot{user: ask.UserID}
	for nth := 1; nth <= ref.PerUserLimit; nth++ {
		at := slot{user: ask.UserID, nth: nth}
		h, taken := holders[at]
		switch {
		case taken && (ref.PerUserLimit == 1 || h.key == ask.Key):
			return at, h, true
		case !taken && free.nth == 0:
			free = at
		}
	}
	return free, held{}, false
}

func put[K comparable, V any](of map[int64]map[K]V, id int64, key K, value V) {
	if of[id] == nil {
		of[id] = make(map[K]V)
	}
	of[id][key] = value
}

func checkAsks(call admission.Call) error {
	if err := checkRef(call.Ref); err != nil {
		return err
	}
	if len(call.Asks) > admission.MaxBatch {
		return fmt.Errorf("memgate: %d asks in one call, at most %d", len(call.Asks), admission.MaxBatch)
	}
	for _, ask := range call.Asks {
		if !coupon.ValidUserID(ask.UserID) {
			return &coupon.FieldError{Field: "user_id", Detail: "has no form that a gate takes"}
		}
		if call.Ref.PerUserLimit > 1 && !coupon.ValidKey(ask.Key) {
			return &coupon.FieldError{Field: "Idempotency-Key", Detail: "is needed where the per-user limit is above 1"}
		}
	}
	return nil
}
