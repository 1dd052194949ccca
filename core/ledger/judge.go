package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/firstcome/firstcome/core/coupon"
)

// facts are what a batch is judged by, as one transaction saw them.
type facts struct {
	now      stamp
	epochs   map[string]int64 // of the gates, read under their locks
	barriers coupon.Barriers
	rows     []issueRow      // that the users of the batch have already; only in a closer look
	overflow map[nthKey]bool // what does not fit below the caps; only after the guard has refused
}

// verdicts are what becomes of a batch.
type verdicts struct {
	issues     []issueRow // in the order of the primary key, as all writers lock them
	failures   []failure
	duplicates int
	booked     int // duplicates of rows that were in the book before
	// doubtful says that a record is refused although its row may be there already, which comes before any other test
	// (rule 12): without a closer look that is not known.
	doubtful bool
}

type (
	nthKey struct { // a row's primary key
		coupon int64
		user   string
		nth    int
	}
	claimKey struct { // what the user calls a claim where the limit is above 1
		coupon int64
		user   string
		key    string
	}
	userKey struct {
		coupon int64
		user   string
	}
	eventKey struct {
		event int64
		user  string
	}
)

// jury judges the records of one batch in the order of their offsets. What it accepts counts for the rest of the batch:
// the first record of a user wins (rule 11).
type jury struct {
	facts    facts
	bookings map[int64]booking
	nths     map[nthKey]string // → idempotency key
	claims   map[claimKey]struct{}
	events   map[eventKey]int64 // → coupon
	booked   map[userKey]bool   // who has rows in the book
	out      verdicts
}

func judge(batch []Record, bookings map[int64]booking, f facts) verdicts {
	j := &jury{
		facts: f, bookings: bookings,
		nths: make(map[nthKey]string, len(batch)), claims: map[claimKey]struct{}{}, events: map[eventKey]int64{},
		booked: make(map[userKey]bool, len(f.rows)),
	}
	for _, row := range f.rows {
		j.booked[userKey{row.CouponID, row.UserID}] = true
		j.remember(row)
	}
	j.out.issues = make([]issueRow, 0, len(batch))
	for i := range batch {
		j.judge(&batch[i])
	}
	slices.SortFunc(j.out.issues, func(a, b issueRow) int {
		return cmp.Or(cmp.Compare(a.CouponID, b.CouponID), cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.Nth, b.Nth))
	})
	return j.out
}

func (j *jury) remember(row issueRow) {
	key := value(row.IdempotencyKey)
	j.nths[nthKey{row.CouponID, row.UserID, row.Nth}] = key
	if key != "" {
		j.claims[claimKey{row.CouponID, row.UserID, key}] = struct{}{}
	}
	if row.EventID != nil {
		j.events[eventKey{*row.EventID, row.UserID}] = row.CouponID
	}
}

func (j *jury) judge(r *Record) {
	if r.Broken != nil {
		j.fail(r, cmp.Or(r.Reason, coupon.FailUndecodable), r.Broken.Error())
		return
	}
	b, known := j.bookings[r.Place.CouponID]
	if !known {
		j.fail(r, coupon.FailUnknownCoupon, fmt.Sprintf("there is no coupon %d", r.Place.CouponID))
		return
	}
	if text := impossible(r.Place, b); text != "" {
		j.fail(r, coupon.FailUndecodable, text)
		return
	}
	if j.duplicate(r.Place, b) {
		j.out.duplicates++
		if j.booked[userKey{r.Place.CouponID, r.Place.UserID}] {
			j.out.booked++
		}
		return
	}
	if reason, text := j.refuse(r, b); reason != "" {
		j.out.doubtful = true
		j.fail(r, reason, text)
		return
	}
	if j.facts.overflow[nthKey{r.Place.CouponID, r.Place.UserID, r.Place.Nth}] {
		j.fail(r, coupon.FailOverCap, fmt.Sprintf("coupon %d is full in the book", r.Place.CouponID))
		return
	}
	row := b.row(r.Place, j.facts.now)
	j.remember(row)
	j.out.issues = append(j.out.issues, row)
}

// impossible says what of a well-formed place cannot be at this coupon. A gate never makes such a place.
func impossible(p coupon.Place, b booking) string {
	limit := b.coupon.PerUserLimit
	switch {
	case !plain(p.UserID) || p.Seq < 1 || p.Epoch < 1:
		return "a user id, seq or epoch that no gate makes"
	case limit > 1 && p.Key != "" && !plain(p.Key):
		return "an idempotency key that no gate takes"
	case p.Nth < 1 || p.Nth > limit:
		return fmt.Sprintf("nth is %d and a user may have %d", p.Nth, limit)
	case limit > 1 && p.Key == "":
		return fmt.Sprintf("no idempotency key, and a user may have %d", limit)
	default:
		return ""
	}
}

// plain says whether the databases compare a user id or key byte for byte, as Go does: MySQL does not count blanks at the
// end, and a duplicate that only the database sees would be tried again for ever.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= max(coupon.MaxUserID, coupon.MaxKey)
}

// duplicate says whether the claim has its row already (rule 12): by its number or, where a user may have several, by its
// key, whatever its number.
func (j *jury) duplicate(p coupon.Place, b booking) bool {
	if b.coupon.PerUserLimit == 1 {
		_, taken := j.nths[nthKey{p.CouponID, p.UserID, p.Nth}]
		return taken
	}
	_, taken := j.claims[claimKey{p.CouponID, p.UserID, p.Key}]
	return taken
}

// refuse says why a record that has no row gets none (rules 12 and 13). The epoch comes first: what a rebuild overtook was
// never promised, and then it is no wonder if another claim stands where it would.
func (j *jury) refuse(r *Record, b booking) (coupon.FailReason, string) {
	p, reign := r.Place, j.facts.epochs[b.tag] // 0 where there is no gate's row: every epoch is above it
	switch {
	case p.Epoch > reign:
		return coupon.FailFutureEpoch, fmt.Sprintf("epoch %d, and the gate %s is at %d", p.Epoch, b.tag, reign)
	case j.facts.barriers.Overtaken(b.tag, p.Epoch, reign, r.Partition, r.Offset):
		return coupon.FailStaleEpoch, fmt.Sprintf("a rebuild of gate %s overtook epoch %d", b.tag, p.Epoch)
	}
	if key, taken := j.nths[nthKey{p.CouponID, p.UserID, p.Nth}]; taken {
		return coupon.FailNthTaken, fmt.Sprintf("the user's place %d has the idempotency key %q", p.Nth, key)
	}
	if other, taken := j.events[eventKey{b.event, p.UserID}]; taken && b.event != 0 {
		return coupon.FailEventLimit, fmt.Sprintf("the user has coupon %d of event %d", other, b.event)
	}
	return "", ""
}

func (j *jury) fail(r *Record, reason coupon.FailReason, text string) {
	j.out.failures = append(j.out.failures, failure{record: r, reason: reason, text: text})
}

// counts are the new rows of each coupon.
func (v *verdicts) counts() map[int64]int64 {
	n := make(map[int64]int64)
	for i := range v.issues {
		n[v.issues[i].CouponID]++
	}
	return n
}

// overflow names the rows that the coupons have no room for, the greatest seqs first (rule 14). A coupon that is not in
// room is unlimited.
func (v *verdicts) overflow(room map[int64]int64) []nthKey {
	bySeq := slices.SortedFunc(slices.Values(v.issues), func(a, b issueRow) int { return cmp.Compare(a.Seq, b.Seq) })
	taken := make(map[int64]int64, len(room))
	var out []nthKey
	for _, row := range bySeq {
		if most, limited := room[row.CouponID]; limited && taken[row.CouponID] >= most {
			out = append(out, nthKey{row.CouponID, row.UserID, row.Nth})
			continue
		}
		taken[row.CouponID]++
	}
	return out
}
