package coupon

import "time"

// Place is one place at a coupon, as the gate gave it, the journal carries it and the ledger books it.
type Place struct {
	CouponID   int64
	UserID     string
	Nth        int       // the user's nth claim of this coupon, from 1
	Seq        int64     // the number in the queue of the coupon, from 1; never falls
	Epoch      int64     // the gate's reign that decided it
	AcceptedAt time.Time // Redis' clock
	Key        string    // Idempotency-Key; "" where the per-user limit is 1
	Revoked    bool      // the place was given back; the user keeps the number (rule 28). Never in the journal
}

// Ref is all that a gate and a writer have to know of a coupon beforehand. It does not change after publication, except
// that Siblings grows when a coupon joins the event.
type Ref struct {
	Tag          string
	CouponID     int64
	EventID      int64 // 0: of no event
	PerUserLimit int
	Member       bool    // taking it uses up the user's place in the event
	ValidForDays int     // 0: no end
	Siblings     []int64 // ids of all coupons of the tag in ascending order, this one included
}

// Ref of a coupon whose tag has these coupons.
func (c Coupon) Ref(siblings []int64) Ref {
	return Ref{
		Tag: c.Tag(), CouponID: c.ID, EventID: c.EventID, PerUserLimit: c.PerUserLimit,
		Member: c.CountsForEvent(), ValidForDays: c.ValidForDays, Siblings: siblings,
	}
}

// Mark names one attempt to open a gate: the epoch it goes for and the token the gate gave it (rule 18).
type Mark struct {
	Tag   string
	Epoch int64
	Token string
}

// Opening is what a gate must find loaded before it opens under a mark (rule 25).
type Opening struct {
	Mark
	Wait    time.Duration // at least so long after the mark: M; 0 for a new tag (rule 29)
	Event   bool          // the tag is an event's
	Coupons []OpeningCoupon
	Members int64 // members loaded; events only
}

// OpeningCoupon is one coupon of an Opening.
type OpeningCoupon struct {
	Ref
	Terms
	Revision int64 // the revision whose terms these are
	Holders  int64 // holders loaded, the revoked ones included
	Returned int64 // how many of them are revoked
	LastSeq  int64 // greatest seq of them
}

// View is what a gate says of a coupon to one who only looks.
type View struct {
	Terms                // those that decide now
	Taken      int64     // admitted and not returned
	Pending    int64     // admitted, and the journal may not have it yet
	Members    int64     // users with a coupon of the event; 0 without one
	Epoch      int64     // with Generation: the same pair, the same gate
	Generation int64     //
	Changing   bool      // a wider value waits for its time (rule 27)
	Now        time.Time // Redis' clock
}
