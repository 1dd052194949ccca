package coupon

import (
	"errors"
	"fmt"
)

// Errors that several stages return and their callers tell apart with errors.Is. Each is a definite "no" about a
// command of ours; whatever else a stage returns as an error is an unknown outcome.
var (
	ErrNotFound       = errors.New("not found")
	ErrVendorNotFound = errors.New("vendor not found")
	ErrEventNotFound  = errors.New("event not found")
	ErrIDTaken        = errors.New("id taken") // the maker of the id tries another one
	ErrNameTaken      = errors.New("name taken")
	ErrBelowIssued    = errors.New("the new total is below what is already admitted or issued")
	ErrSuperseded     = errors.New("another change came later")
	ErrUnsound        = errors.New("gate is not sound")       // rule 2; see UnsoundError
	ErrOvertaken      = errors.New("a newer epoch took over") // rules 18, 20, 25: give up, start over at 17
	ErrTooEarly       = errors.New("the mark is not old enough")
	ErrLogCut         = errors.New("committed offsets are below the start of the log") // rule 21: stay shut, alarm
	ErrLogAnew        = errors.New("the log is not the one that was read before")      // as ErrLogCut
)

// UnsoundError says why a gate decides nothing (rule 2). It matches ErrUnsound.
type UnsoundError struct {
	Tag string
	Why UnsoundWhy
}

// UnsoundWhy is the test of rule 2 that failed.
type UnsoundWhy string

// The tests of rule 2.
const (
	WhyNoGate  UnsoundWhy = "no_gate" // no gate key at all
	WhyMarked  UnsoundWhy = "marked"  // a rebuild is under way
	WhyForeign UnsoundWhy = "foreign" // written on another server, or on another reign of this one
	WhyCoupon  UnsoundWhy = "coupon"  // the coupon's hash is missing or broken
	WhyHolders UnsoundWhy = "holders" // admitted + returned is not the number of holders
	WhyPending UnsoundWhy = "pending" // pending_n is not the number of pending entries
	WhyMembers UnsoundWhy = "members" // members_n is not the number of members
	WhyCoupons UnsoundWhy = "coupons" // coupons_n is not the number of coupons; ask again with fresh Siblings first

	// WhyBehind is no test of rule 2 and no gate's answer: the gate decides, but the database has gone on to a greater
	// epoch, for a rebuild that never marked it. Until one does, no change and no new coupon can follow the gate.
	WhyBehind UnsoundWhy = "behind"
)

func (e *UnsoundError) Error() string { return fmt.Sprintf("gate %s is not sound: %s", e.Tag, e.Why) }

// Is makes errors.Is(err, ErrUnsound) true.
func (e *UnsoundError) Is(target error) bool { return target == ErrUnsound }
