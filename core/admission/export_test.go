package admission

import "github.com/firstcome/firstcome/core/coupon"

// Refuse and Met are what a desk does with its memory.
func (m *Memory) Refuse(ref coupon.Ref, userID string) (Outcome, bool) { return m.refuse(ref, userID) }

// Met tells of a refusal by the gate.
func (m *Memory) Met(ref coupon.Ref, v coupon.Verdict) { m.met(ref, v) }
