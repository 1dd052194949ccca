package coupon

import (
	"strconv"
	"time"
)

// Kind tells what the cap counts.
type Kind string

// The two kinds (requirement A4).
const (
	FirstComeIssue Kind = "first_come_issue" // the cap is on issuing
	FirstComeUse   Kind = "first_come_use"   // issued freely, the cap (MaxUses) is on uses
)

// DiscountType tells how DiscountValue is read.
type DiscountType string

// The two discount types.
const (
	DiscountFixed   DiscountType = "fixed"   // DiscountValue in minor units of money
	DiscountPercent DiscountType = "percent" // DiscountValue from 1 to 100
)

// State is what an admin has set. What a user is shown (Shown) also depends on the clock and the cap.
type State string

// The states an admin can set.
const (
	StateOpen   State = "open"
	StatePaused State = "paused"
	StateClosed State = "closed"
)

// Terms are the part of a coupon that an admin may change while the sale runs (rules 26 and 27).
type Terms struct {
	Total    *int64 // places; nil is unlimited
	State    State
	OpensAt  time.Time // first instant of the window
	ClosesAt time.Time // first instant after the window
}

// Coupon is what a vendor publishes. Everything outside Terms never changes after publication, so that anyone may
// remember it for ever.
type Coupon struct {
	ID       int64 // below 2^53, never used twice
	VendorID int64
	EventID  int64 // 0: of no event
	Name     string
	Kind     Kind
	Terms
	PerUserLimit   int // 1 to MaxPerUserLimit
	DiscountType   DiscountType
	DiscountValue  int64
	MinOrderAmount int64 // minor units of money
	Stackable      bool
	ValidForDays   int    // days after acceptance; 0: no end
	MaxUses        *int64 // cap on uses over all users; nil: none
	IssuedCount    int64  // rows in the ledger; the ledger keeps it
	Revision       int64  // the latest change taken (rule 26)
	Applied        int64  // the revision whose Terms these are; below Revision while a change is on its way
	CreatedAt      time.Time
}

// Tag names what decides together: all coupons of an event, or one coupon alone. It is the Redis Cluster hash tag, and
// one gate, one epoch and one rebuild belong to it.
func (c Coupon) Tag() string { return TagOf(c.ID, c.EventID) }

// CountsForEvent says whether taking this coupon uses up the user's one place in the event (requirement A3).
func (c Coupon) CountsForEvent() bool { return c.EventID != 0 && c.Kind == FirstComeIssue }

// ExpiresAt is when a coupon accepted at that instant stops being usable; the zero time is never.
func (c Coupon) ExpiresAt(accepted time.Time) time.Time {
	if c.ValidForDays == 0 {
		return time.Time{}
	}
	return accepted.AddDate(0, 0, c.ValidForDays)
}

// TagOf is Tag for those who only have the ids.
func TagOf(couponID, eventID int64) string {
	if eventID != 0 {
		return EventTag(eventID)
	}
	return "c" + strconv.FormatInt(couponID, 10)
}

// EventTag is the tag of an event's coupons.
func EventTag(eventID int64) string { return "e" + strconv.FormatInt(eventID, 10) }

// Shown states: what a reader is told, the first that fits.
const (
	ShownClosed    = "closed"
	ShownScheduled = "scheduled"
	ShownPaused    = "paused"
	ShownSoldOut   = "sold_out"
	ShownOpen      = "open"
)

// Shown is the state a reader is told at an instant, with so many places taken.
func (t Terms) Shown(now time.Time, taken int64) string {
	switch {
	case t.State == StateClosed || !now.Before(t.ClosesAt):
		return ShownClosed
	case now.Before(t.OpensAt):
		return ShownScheduled
	case t.State == StatePaused:
		return ShownPaused
	case t.Total != nil && taken >= *t.Total:
		return ShownSoldOut
	default:
		return ShownOpen
	}
}

// Remaining is how many places are left; nil is unlimited.
func (t Terms) Remaining(taken int64) *int64 {
	if t.Total == nil {
		return nil
	}
	left := max(*t.Total-taken, 0)
	return &left
}

// Event groups coupons: a user gets at most one first-come-issue coupon of it (requirement A3). Its
// times are for people to read: a coupon's own window decides.
type Event struct {
	ID       int64
	Name     string
	StartsAt time.Time
	EndsAt   time.Time
}
