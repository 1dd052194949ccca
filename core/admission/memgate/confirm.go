package memgate

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// Confirm implements admission.Gate.
func (g *Gate) Confirm(ctx context.Context, calls []admission.ConfirmCall) []admission.ConfirmAnswer {
	answers := make([]admission.ConfirmAnswer, len(calls))
	for i, c := range calls {
		if err := ctx.Err(); err != nil {
			answers[i].Err = err
			continue
		}
		answers[i] = g.confirm(c)
	}
	return answers
}

func (g *Gate) confirm(call admission.ConfirmCall) admission.ConfirmAnswer {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(call.Places) > admission.MaxBatch {
		return admission.ConfirmAnswer{
			Err: fmt.Errorf("memgate: %d places in one call, at most %d", len(call.Places), admission.MaxBatch),
		}
	}
	t, c, err := g.sound(call.Ref)
	if err != nil {
		return admission.ConfirmAnswer{Err: err}
	}
	a := admission.ConfirmAnswer{Stands: make([]bool, len(call.Places))}
	for i, p := range call.Places {
		at := slotOf(call.Ref, p.UserID, p.Nth)
		h, holds := t.holders[call.Ref.CouponID][at]
		if !holds || h.seq != p.Seq || t.gate.epoch != p.Epoch {
			continue
		}
		a.Stands[i] = !h.revoked
		if _, waits := t.pending[call.Ref.CouponID][at]; waits {
			delete(t.pending[call.Ref.CouponID], at)
			c.pendingN--
		}
	}
	return a
}

// Sweepable implements admission.Gate.
func (g *Gate) Sweepable(ctx context.Context, ref coupon.Ref, sweep admission.Sweep) ([]coupon.Place, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if sweep.Limit < 1 || sweep.Limit > admission.MaxBatch || sweep.Owner == "" || sweep.Lease.Milliseconds() < 1 {
		return nil, fmt.Errorf("memgate: impossible sweep %+v", sweep)
	}
	t, _, err := g.sound(ref)
	if err != nil {
		return nil, err
	}
	now := g.clock()
	if l, there := t.leases[ref.CouponID]; there && l.owner != sweep.Owner && now.Before(l.until) {
		return nil, nil
	}
	var old []slot
	for at, since := range t.pending[ref.CouponID] {
		if !since.After(now.Add(-sweep.Age)) {
			old = append(old, at)
		}
	}
	slices.SortFunc(old, func(a, b slot) int {
		since := t.pending[ref.CouponID]
		return cmp.Or(since[a].Compare(since[b]), compareSlots(a, b))
	})
	old = old[:min(len(old), sweep.Limit)]
	places := make([]coupon.Place, len(old))
	for i, at := range old {
		h, holds := t.holders[ref.CouponID][at]
		if !holds {
			return nil, unsound(ref.Tag, coupon.WhyPending)
		}
		places[i] = placeOf(ref, at, h, t.gate.epoch)
	}
	if len(places) > 0 {
		t.leases[ref.CouponID] = lease{owner: sweep.Owner, until: now.Add(sweep.Lease)}
	}
	return places, nil
}

func placeOf(ref coupon.Ref, at slot, h held, epoch int64) coupon.Place {
	return coupon.Place{
		CouponID: ref.CouponID, UserID: at.user, Nth: at.nth, Seq: h.seq, Epoch: epoch, AcceptedAt: h.at, Key: h.key,
		Revoked: h.revoked,
	}
}
