package coupon

import "time"

// TermsChange is one step of a change at the gate (rules 26 and 27).
//
// Narrowing holds at once: the gate must be sound and not have admitted more than the new total (ErrBelowIssued).
// Widening holds Wait later, by the gate's clock; until then the old terms decide and nobody remembers a refusal.
// Either way the gate takes only a revision greater than its own (ErrSuperseded; its own again is done already), and
// the generation goes up.
type TermsChange struct {
	Ref
	To       Terms
	Revision int64
	Widen    bool
	Wait     time.Duration // M; widening only
	Epoch    int64         // widening: the epoch at which the database took the change; a newer gate has it already
}

// MarkAnswer is a gate's answer to one Mark.
type MarkAnswer struct {
	Mark
	Err error // ErrOvertaken: the gate is of this epoch or newer
}

// Narrows says whether every term of to is at most as generous as t's. Equal terms narrow and widen. A change that is neither takes two steps: first Step, then the rest.
func (t Terms) Narrows(to Terms) bool { return t.Meet(to).Same(to) }

// Widens says whether every term of to is at least as generous as t's. While t lets nobody in because it is not open, moving its window to where it does not touch the
// old one takes nothing from anybody.
func (t Terms) Widens(to Terms) bool {
	if t.State != StateOpen && !t.touches(to) {
		t.OpensAt, t.ClosesAt = to.OpensAt, to.ClosesAt
	}
	return t.Meet(to).Same(t)
}

// Step is the first step from t to other terms: it narrows t, and to widens it. It is the narrowest of both, except
// where their windows do not touch: an empty window could not be stored, so it keeps t's window and is not open.
func (t Terms) Step(to Terms) Terms {
	step := t.Meet(to)
	if t.touches(to) {
		return step
	}
	step.OpensAt, step.ClosesAt = t.OpensAt, t.ClosesAt
	if step.State == StateOpen {
		step.State = StatePaused
	}
	return step
}

// touches says whether the windows have an instant in common.
func (t Terms) touches(o Terms) bool {
	return t.OpensAt.Before(o.ClosesAt) && o.OpensAt.Before(t.ClosesAt)
}

// Meet is the narrowest of both in each term. Where the windows do not touch, the result is an empty window.
func (t Terms) Meet(o Terms) Terms {
	m := t
	if t.Total == nil || (o.Total != nil && *o.Total < *t.Total) {
		m.Total = o.Total
	}
	if generosity[o.State] < generosity[t.State] {
		m.State = o.State
	}
	if o.OpensAt.After(t.OpensAt) {
		m.OpensAt = o.OpensAt
	}
	if o.ClosesAt.Before(t.ClosesAt) {
		m.ClosesAt = o.ClosesAt
	}
	return m
}

// Same says whether both are the same terms.
func (t Terms) Same(o Terms) bool {
	sameTotal := t.Total == o.Total || (t.Total != nil && o.Total != nil && *t.Total == *o.Total)
	return sameTotal && t.State == o.State && t.OpensAt.Equal(o.OpensAt) && t.ClosesAt.Equal(o.ClosesAt)
}

// generosity orders the states: closed is the least, since a reader of "closed" may go away for good.
var generosity = map[State]int{StateClosed: 0, StatePaused: 1, StateOpen: 2}

// Change is one revision of a coupon's terms as the ledger keeps it, with its reason (rule 26).
type Change struct {
	CouponID int64
	Revision int64
	Epoch    int64 // of the gate in the database when the revision was taken
	From, To Terms
	Reason   string
	By       string // the admin's user id
	Stored   bool   // the database has the terms already (widening: the database comes first)
}

// Created is what became of one coupon that was to be published.
type Created struct {
	Epoch    int64   // of the tag's gate in the database: 1 for a new tag
	Siblings []int64 // all coupons of the tag, this one included
	Err      error   // ErrNameTaken, ErrIDTaken, ErrVendorNotFound, ErrEventNotFound, a FieldError; else unknown
}
