package fakebook

import (
	"context"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// BeginChange takes the next revision (rule 26).
func (b *Book) BeginChange(_ context.Context, id int64, decide func(coupon.Terms, int64) (coupon.Terms, error),
	reason, by string,
) (coupon.Change, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.coupons[id]
	if c == nil {
		return coupon.Change{}, coupon.ErrNotFound
	}
	to, err := decide(c.Terms, c.IssuedCount)
	if err != nil {
		return coupon.Change{}, err
	}
	c.Revision++
	change := coupon.Change{
		CouponID: id, Revision: c.Revision, Epoch: b.gates[c.Tag()].epoch, From: c.Terms, To: to, Reason: reason, By: by,
		Stored: c.Widens(to),
	}
	if change.Stored {
		c.Terms, c.Applied = to, c.Revision
	}
	b.changes = append(b.changes, &changeRow{Change: change})
	return change, nil
}

// ApplyChange stores a narrowing that the gate has taken.
func (b *Book) ApplyChange(_ context.Context, change coupon.Change, gateEpoch int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.coupons[change.CouponID]
	switch {
	case c.Revision != change.Revision:
		return coupon.ErrSuperseded
	case c.Applied == change.Revision:
		return nil
	case b.gates[c.Tag()].epoch != gateEpoch:
		return coupon.ErrOvertaken
	case change.To.Total != nil && c.IssuedCount > *change.To.Total:
		return coupon.ErrBelowIssued
	}
	c.Terms, c.Applied = change.To, change.Revision
	return nil
}

// EndChange notes the first outcome.
func (b *Book) EndChange(_ context.Context, change coupon.Change, outcome string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, row := range b.changes {
		if row.CouponID == change.CouponID && row.Revision == change.Revision && row.outcome == "" {
			row.outcome = outcome
		}
	}
	return nil
}

// OpenChanges are those without an outcome, however young they are.
func (b *Book) OpenChanges(_ context.Context, _ time.Duration, limit int) ([]coupon.Change, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []coupon.Change
	for _, row := range b.changes {
		if row.outcome == "" && len(out) < limit {
			out = append(out, row.Change)
		}
	}
	return out, nil
}

// Outcomes are the outcomes of a coupon's changes by revision, "" for those still open.
func (b *Book) Outcomes(id int64) map[int64]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[int64]string{}
	for _, row := range b.changes {
		if row.CouponID == id {
			out[row.Revision] = row.outcome
		}
	}
	return out
}

// ChangesOf are all changes of a coupon that were begun, by revision.
func (b *Book) ChangesOf(id int64) []coupon.Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []coupon.Change
	for _, row := range b.changes {
		if row.CouponID == id {
			out = append(out, row.Change)
		}
	}
	return out
}
