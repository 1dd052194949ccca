package httpapi

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/api/internal/auth"
	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/publish"
)

// Claims decides claims; admission.Desk.
type Claims interface {
	Claim(ctx context.Context, couponID int64, userID, key string) (admission.Outcome, error)
}

// Gate looks at gates without deciding anything.
type Gate interface {
	// Views looks at coupons, in one call; the answers are in the order of refs.
	Views(ctx context.Context, refs []coupon.Ref) []coupon.ViewAnswer
	// Holder tells of a user's nth place, 0 the latest: Holder, Pending or Revoked with the place; verdict 0 when a
	// sound gate knows of none. An unsound gate is an error.
	Holder(ctx context.Context, ref coupon.Ref, userID string, nth int) (coupon.Place, coupon.Verdict, error)
}

// Refs knows the coupons' unchanging parts. coupon.ErrNotFound: there is no such coupon.
type Refs interface {
	Ref(ctx context.Context, couponID int64) (coupon.Ref, error)     // may answer from memory
	Refresh(ctx context.Context, couponID int64) (coupon.Ref, error) // reads the ledger
}

// Coupons reads coupons from the ledger.
type Coupons interface {
	Coupon(ctx context.Context, id int64) (coupon.Coupon, error) // coupon.ErrNotFound
	// Coupons are those with ids above afterID, ascending, at most limit.
	Coupons(ctx context.Context, afterID int64, limit int) ([]coupon.Coupon, error)
}

// Issues reads what became of claims from the ledger.
type Issues interface {
	// Issue is the user's nth row of a coupon, 0 the latest; coupon.ErrNotFound.
	Issue(ctx context.Context, couponID int64, userID string, nth int) (coupon.Issue, error)
	// IssuesOf are the user's rows, newest first, at most limit: those after the row that the key names; the zero key
	// is the beginning.
	IssuesOf(ctx context.Context, userID string, after IssueKey, limit int) ([]coupon.Issue, error)
	// FailedOf is the failed event that tells of the user's claim; coupon.ErrNotFound.
	FailedOf(ctx context.Context, couponID int64, userID string) (coupon.FailedEvent, error)
}

// IssueKey is a row's place in the order of IssuesOf.
type IssueKey struct {
	AcceptedAt time.Time
	CouponID   int64
	Nth        int
}

// Publisher publishes and changes. Errors besides coupon's own are unknown outcomes; so is a publish.KeptError to the
// caller, who has to look or ask again.
type Publisher interface {
	Vendor(ctx context.Context, name string) (id int64, err error)
	Event(ctx context.Context, e coupon.Event) (coupon.Event, error)
	Coupon(ctx context.Context, c coupon.Coupon) (coupon.Coupon, error)
	Change(ctx context.Context, couponID int64, change publish.ChangeRequest) (coupon.Coupon, error)
}

// Failed keeps the failed events.
type Failed interface {
	// FailedEvents are those with ids above afterID, ascending, at most limit; "" as a filter is any.
	FailedEvents(ctx context.Context, afterID int64, limit int, reason coupon.FailReason, status coupon.FailedStatus) ([]coupon.FailedEvent, error)
	// RequeueFailed makes one due now, whatever its status; coupon.ErrNotFound.
	RequeueFailed(ctx context.Context, id int64) error
}

// Tokens tells whose token it is; auth.Verifier. The error is an *auth.RefusedError or unknown.
type Tokens interface {
	Verify(ctx context.Context, token string) (auth.User, error)
}

// Deps are what the handlers work with; all are needed, UserRate excepted.
type Deps struct {
	Claims    Claims
	Gate      Gate
	Refs      Refs
	Coupons   Coupons
	Issues    Issues
	Publisher Publisher
	Failed    Failed
	Tokens    Tokens

	// NthOf reads a journal record's number of the claim, for users who may have several; 0 when it cannot be read.
	NthOf     func(payload []byte) int
	OnUnsound func(coupon.UnsoundError) // asks for a rebuild; must not block
	Document  []byte                    // openapi.yaml
	UserRate  float64                   // claims a second of one user; 0: without limit
	Deadline  time.Duration             // for all but claims, which the desk bounds: answered by then, or unknown

	Now        func() time.Time // the host's clock, for answers without a gate's word
	Log        *slog.Logger
	Registerer prometheus.Registerer
}
