package memgate

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/core/coupon"
)

// Change takes one revision of a coupon's terms (rules 26 and 27) and returns the gate's epoch at which it holds.
func (g *Gate) Change(ctx context.Context, change coupon.TermsChange) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	t, c, err := g.sound(change.Ref)
	if err != nil {
		return 0, err
	}
	now, to := g.clock(), microTerms(change.To)
	decides, waiting := c.at(now)
	switch {
	case change.Revision == c.revision:
		return t.gate.epoch, nil
	case change.Widen && t.gate.epoch > change.Epoch:
		return t.gate.epoch, nil // loaded from a ledger that had these terms
	case change.Revision < c.revision:
		return 0, fmt.Errorf("memgate: change %s: %w", change.Tag, coupon.ErrSuperseded)
	}
	if !change.Widen && change.Wait == 0 { // without a wait nothing may get wider
		widest := decides
		if waiting != nil {
			widest = *waiting
		}
		to = widest.Meet(to)
	}
	if !change.Widen && to.Total != nil && c.admitted > *to.Total {
		return 0, fmt.Errorf("memgate: change %s: %w", change.Tag, coupon.ErrBelowIssued)
	}
	at := now.Add(change.Wait)
	if waiting != nil && waiting.Meet(to).Same(to) {
		at = c.nextAt // what waits is cut, and keeps its time
	}
	c.revision = change.Revision
	c.terms, c.waiting = decides.Meet(to), nil
	if !c.terms.Same(to) {
		c.waiting, c.nextAt = &to, at
	}
	t.gate.generation++
	return t.gate.epoch, nil
}
