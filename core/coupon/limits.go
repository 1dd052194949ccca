package coupon

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of the outside contract.
const (
	MaxID           = 1<<53 - 1         // every JSON reader keeps it exactly
	MaxQuantity     = 1_000_000_000_000 // 10^12
	MaxPerUserLimit = 100
	MaxUserID       = 64   // bytes
	MaxKey          = 64   // bytes of an Idempotency-Key
	MaxName         = 100  // characters
	MaxReason       = 200  // characters of a change's reason
	MaxValidForDays = 3650 // ten years
	MaxSiblings     = 1000 // coupons of one event: each admission counts them (rule 2), 0.1 µs each
)

// epochOfIDs is the instant that ids count their milliseconds from.
var epochOfIDs = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// NewID makes an id: 41 bits of milliseconds since 2026 and 12 random bits. The maker retries on a collision.
func NewID(now time.Time) int64 {
	ms := now.Sub(epochOfIDs).Milliseconds() & (1<<41 - 1)
	return max(ms<<12|rand.Int64N(1<<12), 1) //nolint:gosec // an id is no secret
}

// MintedAt is when an id was made, to the millisecond, by the clock of its maker.
func MintedAt(id int64) time.Time { return epochOfIDs.Add(time.Duration(id>>12) * time.Millisecond) }

// NewFor is for how long the gate of a new coupon is left to its publisher, who opens it a few milliseconds after the
// ledger has the coupon, some hundred times later on a machine that is busy.
const NewFor = 2 * time.Second

// IsNew says whether a coupon is so young that its publisher may still be between ledger and gate: to rebuild a gate that
// is not there would overtake it, and it would have to answer "not known".
func IsNew(id int64, now time.Time) bool {
	age := now.Sub(MintedAt(id))
	return age >= 0 && age < NewFor
}

// ValidUserID says whether s may name a user: 1 to 64 characters of [A-Za-z0-9._:@-].
func ValidUserID(s string) bool { return wellFormed(s, MaxUserID, '@') }

// ValidKey says whether s may be an Idempotency-Key: 1 to 64 characters of [A-Za-z0-9._:-].
func ValidKey(s string) bool { return wellFormed(s, MaxKey, '.') }

// wellFormed says whether s has 1 to most characters of [A-Za-z0-9._:-] and one more. A loop and no regular expression:
// every claim passes here several times, at 20 ns instead of 200.
func wellFormed(s string, most int, also byte) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == ':', c == '-', c == also:
		default:
			return false
		}
	}
	return s != "" && len(s) <= most
}

// ValidName says whether s may name a vendor, event or coupon: 1 to 100 characters, not only blanks, no control
// characters.
func ValidName(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= MaxName && strings.TrimSpace(s) != "" &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// FieldError is a value that is not allowed in a field, named as in the outside contract.
type FieldError struct {
	Field  string
	Detail string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }

func fieldErr(field, format string, args ...any) error {
	return &FieldError{Field: field, Detail: fmt.Sprintf(format, args...)}
}

// Validate checks every bound of the outside contract that does not need the database. It joins one FieldError a field.
func (c Coupon) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, fieldErr(field, format, args...)) }
	if !ValidName(c.Name) {
		bad("name", "must have 1 to %d characters and no control characters", MaxName)
	}
	if c.VendorID < 1 || c.VendorID > MaxID {
		bad("vendor_id", "must be an id from 1 to %d", int64(MaxID))
	}
	if c.EventID < 0 || c.EventID > MaxID {
		bad("event_id", "must be an id from 1 to %d", int64(MaxID))
	}
	if c.Kind != FirstComeIssue && c.Kind != FirstComeUse {
		bad("kind", "must be %q or %q", FirstComeIssue, FirstComeUse)
	}
	if c.PerUserLimit < 1 || c.PerUserLimit > MaxPerUserLimit {
		bad("per_user_limit", "must be from 1 to %d", MaxPerUserLimit)
	} else if c.CountsForEvent() && c.PerUserLimit != 1 {
		bad("per_user_limit", "must be 1 for a first_come_issue coupon of an event")
	}
	switch {
	case c.DiscountType == "" && c.DiscountValue == 0:
	case c.DiscountType == DiscountFixed:
		if c.DiscountValue < 1 || c.DiscountValue > MaxQuantity {
			bad("discount_value", "must be from 1 to %d minor units", int64(MaxQuantity))
		}
	case c.DiscountType == DiscountPercent:
		if c.DiscountValue < 1 || c.DiscountValue > 100 {
			bad("discount_value", "must be from 1 to 100 percent")
		}
	default:
		bad("discount_type", "must be %q or %q, together with discount_value", DiscountFixed, DiscountPercent)
	}
	if c.MinOrderAmount < 0 || c.MinOrderAmount > MaxQuantity {
		bad("min_order_amount", "must be from 0 to %d minor units", int64(MaxQuantity))
	}
	if c.ValidForDays < 0 || c.ValidForDays > MaxValidForDays {
		bad("valid_for_days", "must be from 1 to %d", MaxValidForDays)
	}
	if c.MaxUses != nil && (*c.MaxUses < 1 || *c.MaxUses > MaxQuantity) {
		bad("max_uses", "must be from 1 to %d", int64(MaxQuantity))
	}
	return errors.Join(append(errs, c.Terms.Validate())...)
}

// Validate checks the terms, of a new coupon or after a change.
func (t Terms) Validate() error {
	var errs []error
	if t.Total != nil && (*t.Total < 1 || *t.Total > MaxQuantity) {
		errs = append(errs, fieldErr("total_quantity", "must be from 1 to %d, or null for unlimited", int64(MaxQuantity)))
	}
	switch t.State {
	case StateOpen, StatePaused, StateClosed:
	default:
		errs = append(errs, fieldErr("state", "must be %q, %q or %q", StateOpen, StatePaused, StateClosed))
	}
	for _, edge := range []struct {
		field string
		at    time.Time
	}{{"opens_at", t.OpensAt}, {"closes_at", t.ClosesAt}} {
		if year := edge.at.UTC().Year(); year < 2000 || year > 9999 {
			errs = append(errs, fieldErr(edge.field, "must be a time between the years 2000 and 9999"))
		}
	}
	if !t.OpensAt.Before(t.ClosesAt) {
		errs = append(errs, fieldErr("closes_at", "must be later than opens_at"))
	}
	return errors.Join(errs...)
}

// Page bounds of every list.
const (
	DefaultPage = 20
	MaxPage     = 100
)
