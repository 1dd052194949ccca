package coupon

// Verdict is a gate's decision on one claim.
type Verdict uint8

// The verdicts, in the order in which a gate tests them: the first that fits is the answer. The numbers are what the
// Lua scripts return; they are not stored anywhere.
const (
	Admitted   Verdict = iota + 1 // a new place; the journal does not have it yet
	Pending                       // holds a place, the journal may not have it yet
	Holder                        // holds a place, the journal has it
	Revoked                       // held a place that was given back
	Closed                        // state closed, or the window is over
	NotOpen                       // the window has not begun
	Paused                        // an admin paused it
	UserLimit                     // the user has all their places (limit above 1)
	EventLimit                    // the user has a coupon of this event
	SoldOut                       // no places
)

// Place says whether the user holds a place.
func (v Verdict) Place() bool { return v >= Admitted && v <= Holder }

// Code is the stable code of a refusal; "" for a verdict that is none.
func (v Verdict) Code() Code { return verdictCodes[v] }

func (v Verdict) String() string {
	if name, ok := verdictNames[v]; ok {
		return name
	}
	return "unknown verdict"
}

var verdictCodes = map[Verdict]Code{
	Revoked: CodeRevoked, Closed: CodeClosed, NotOpen: CodeNotOpen, Paused: CodePaused,
	UserLimit: CodeUserLimit, EventLimit: CodeEventLimit, SoldOut: CodeSoldOut,
}

var verdictNames = map[Verdict]string{
	Admitted: "admitted", Pending: "pending", Holder: "holder", Revoked: "revoked", Closed: "closed",
	NotOpen: "not_open", Paused: "paused", UserLimit: "user_limit", EventLimit: "event_limit", SoldOut: "sold_out",
}

// Code is the stable code of an answer that is not a success: part of the outside contract.
type Code string

// Codes of the outside contract. One table in the api turns each into its HTTP status.
const (
	CodeRevoked    Code = "revoked"
	CodeClosed     Code = "closed"
	CodeNotOpen    Code = "not_open"
	CodePaused     Code = "paused"
	CodeUserLimit  Code = "user_limit"
	CodeEventLimit Code = "event_limit"
	CodeSoldOut    Code = "sold_out"

	CodeCouponNotFound Code = "coupon_not_found"
	CodeVendorNotFound Code = "vendor_not_found"
	CodeEventNotFound  Code = "event_not_found"
	CodeFailedNotFound Code = "failed_event_not_found"
	CodeNoIssue        Code = "no_issue"
	CodeNameTaken      Code = "name_taken"
	CodeBelowIssued    Code = "below_issued"
	CodeSuperseded     Code = "superseded"
	CodeRateLimited    Code = "rate_limited"
	CodeUnavailable    Code = "unavailable"

	CodeInvalidRequest       Code = "invalid_request"
	CodeUnauthorized         Code = "unauthorized"
	CodeForbidden            Code = "forbidden"
	CodeNotFound             Code = "not_found"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeBodyTooLarge         Code = "body_too_large"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
)

// FailReason is why a journal record did not become an issue row; it stands in failed_events.reason and is shown to
// the user of a rejected claim.
type FailReason string

// The reasons.
const (
	FailUndecodable    FailReason = "undecodable"     // not JSON, too long, impossible values
	FailUnknownVersion FailReason = "unknown_version" // a wire version this build does not know
	FailUnknownCoupon  FailReason = "unknown_coupon"  // no such coupon in the ledger
	FailStaleEpoch     FailReason = "stale_epoch"     // overtaken by a rebuild, never promised (rule 13)
	FailFutureEpoch    FailReason = "future_epoch"    // of an epoch above the gate's (rule 13); alarm
	FailEventLimit     FailReason = "event_limit"     // the user has another coupon of the event (rule 12)
	FailOverCap        FailReason = "over_cap"        // the ledger's guard refused (rule 14); alarm
	FailNthTaken       FailReason = "nth_taken"       // the user's nth place has another idempotency key; alarm
	FailRefusedByDB    FailReason = "refused_by_db"   // the database refused this one record
)
