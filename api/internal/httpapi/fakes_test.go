package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/api/internal/auth"
	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/publish"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hostNow is the host's clock, an hour ahead of the gate's: the two can be told apart in every answer.
var (
	gateNow = time.Date(2026, 11, 20, 12, 0, 0, 123_000, time.UTC)
	hostNow = gateNow.Add(time.Hour)
)

// world is what the handlers ask, all of it in memory. A test sets what it needs before it asks.
type world struct {
	mu sync.Mutex

	coupons map[int64]coupon.Coupon
	refs    map[int64]coupon.Ref // else made of coupons
	rows    []coupon.Issue
	failed  map[int64]coupon.FailedEvent
	views   map[int64]coupon.ViewAnswer
	held    map[string]holding // by user
	outcome admission.Outcome
	err     error // of the ledger
	gateErr error // of claims and holders
	pubErr  error

	claims    []string // coupon/user/key
	published []coupon.Coupon
	events    []coupon.Event
	vendors   []string
	changes   []publish.ChangeRequest
	requeued  []int64
	unsound   []coupon.UnsoundError
	refreshes int
	viewCalls int
	panics    bool
}

func (w *world) lock() func() { w.mu.Lock(); return w.mu.Unlock }

// written is how much the handlers changed or asked to be changed.
func (w *world) written() int {
	defer w.lock()()
	return len(w.claims) + len(w.published) + len(w.events) + len(w.vendors) + len(w.changes) + len(w.requeued)
}

func (w *world) Claim(_ context.Context, couponID int64, userID, key string) (admission.Outcome, error) {
	defer w.lock()()
	if w.panics {
		panic("secret of the inside")
	}
	if _, there := w.coupons[couponID]; !there {
		return admission.Outcome{}, coupon.ErrNotFound
	}
	w.claims = append(w.claims, strings.Join([]string{json.Number(id(couponID)).String(), userID, key}, "/"))
	return w.outcome, w.gateErr
}

func (w *world) Views(_ context.Context, refs []coupon.Ref) []coupon.ViewAnswer {
	defer w.lock()()
	w.viewCalls++
	answers := make([]coupon.ViewAnswer, len(refs))
	for i, ref := range refs {
		answer, there := w.views[ref.CouponID]
		if !there {
			answer.Err = &coupon.UnsoundError{Tag: ref.Tag, Why: coupon.WhyNoGate}
		}
		if len(ref.Siblings) == 0 {
			answer = coupon.ViewAnswer{Err: &coupon.UnsoundError{Tag: ref.Tag, Why: coupon.WhyCoupons}}
		}
		answers[i] = answer
	}
	return answers
}

func (w *world) Holder(_ context.Context, ref coupon.Ref, userID string, nth int) (coupon.Place, coupon.Verdict, error) {
	defer w.lock()()
	if len(ref.Siblings) == 0 {
		return coupon.Place{}, 0, &coupon.UnsoundError{Tag: ref.Tag, Why: coupon.WhyCoupons}
	}
	if w.gateErr != nil {
		return coupon.Place{}, 0, w.gateErr
	}
	h := w.held[userID]
	if nth != 0 && h.place.Nth != nth {
		return coupon.Place{}, 0, nil
	}
	return h.place, h.verdict, h.err
}

func (w *world) Ref(_ context.Context, couponID int64) (coupon.Ref, error) {
	defer w.lock()()
	if ref, there := w.refs[couponID]; there {
		return ref, nil
	}
	return w.fresh(couponID)
}

func (w *world) Refresh(_ context.Context, couponID int64) (coupon.Ref, error) {
	defer w.lock()()
	w.refreshes++
	return w.fresh(couponID)
}

func (w *world) fresh(couponID int64) (coupon.Ref, error) {
	c, there := w.coupons[couponID]
	if !there {
		return coupon.Ref{}, cmp.Or(w.err, coupon.ErrNotFound)
	}
	return c.Ref([]int64{c.ID}), nil
}

func (w *world) Coupon(_ context.Context, couponID int64) (coupon.Coupon, error) {
	defer w.lock()()
	c, there := w.coupons[couponID]
	if w.err != nil || !there {
		return coupon.Coupon{}, cmp.Or(w.err, coupon.ErrNotFound)
	}
	return c, nil
}

func (w *world) Coupons(_ context.Context, afterID int64, limit int) ([]coupon.Coupon, error) {
	defer w.lock()()
	var found []coupon.Coupon
	for _, c := range w.coupons {
		if c.ID > afterID {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b coupon.Coupon) int { return cmp.Compare(a.ID, b.ID) })
	return found[:min(limit, len(found))], w.err
}

func (w *world) Issue(_ context.Context, couponID int64, userID string, nth int) (coupon.Issue, error) {
	defer w.lock()()
	var latest coupon.Issue
	for _, row := range w.rows {
		if row.CouponID == couponID && row.UserID == userID && (nth == row.Nth || nth == 0 && row.Nth > latest.Nth) {
			latest = row
		}
	}
	if latest.Nth == 0 {
		return coupon.Issue{}, cmp.Or(w.err, coupon.ErrNotFound)
	}
	return latest, w.err
}

func (w *world) IssuesOf(_ context.Context, userID string, after IssueKey, limit int) ([]coupon.Issue, error) {
	defer w.lock()()
	var found []coupon.Issue
	for _, row := range w.rows {
		if row.UserID == userID && (after == IssueKey{} || row.AcceptedAt.Before(after.AcceptedAt)) {
			found = append(found, row)
		}
	}
	slices.SortFunc(found, func(a, b coupon.Issue) int { return b.AcceptedAt.Compare(a.AcceptedAt) })
	return found[:min(limit, len(found))], w.err
}

func (w *world) FailedOf(_ context.Context, couponID int64, userID string) (coupon.FailedEvent, error) {
	defer w.lock()()
	for _, e := range w.failed {
		if e.CouponID == couponID && e.UserID == userID {
			return e, nil
		}
	}
	return coupon.FailedEvent{}, cmp.Or(w.err, coupon.ErrNotFound)
}

func (w *world) FailedEvents(_ context.Context, afterID int64, limit int, reason coupon.FailReason, status coupon.FailedStatus) ([]coupon.FailedEvent, error) {
	defer w.lock()()
	var found []coupon.FailedEvent
	for _, e := range w.failed {
		if e.ID > afterID && (reason == "" || reason == e.Reason) && (status == "" || status == e.Status) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b coupon.FailedEvent) int { return cmp.Compare(a.ID, b.ID) })
	return found[:min(limit, len(found))], w.err
}

func (w *world) RequeueFailed(_ context.Context, failedID int64) error {
	defer w.lock()()
	if _, there := w.failed[failedID]; !there {
		return coupon.ErrNotFound
	}
	w.requeued = append(w.requeued, failedID)
	return w.err
}

// publisher is world's other face: its Coupon has another meaning.
type publisher struct{ *world }

func (p publisher) Vendor(_ context.Context, name string) (int64, error) {
	defer p.lock()()
	if p.pubErr == nil {
		p.vendors = append(p.vendors, name)
	}
	return 900, p.pubErr
}

func (p publisher) Event(_ context.Context, e coupon.Event) (coupon.Event, error) {
	defer p.lock()()
	if !e.StartsAt.Before(e.EndsAt) {
		return e, &coupon.FieldError{Field: "ends_at", Detail: "must be later than starts_at"}
	}
	if !coupon.ValidName(e.Name) {
		return e, badName()
	}
	if p.pubErr == nil {
		p.events = append(p.events, e)
	}
	e.ID = 901
	return e, p.pubErr
}

func (p publisher) Coupon(_ context.Context, c coupon.Coupon) (coupon.Coupon, error) {
	defer p.lock()()
	if p.pubErr != nil {
		return c, p.pubErr
	}
	p.published = append(p.published, c)
	c.ID, c.CreatedAt = 902, hostNow
	p.coupons[c.ID] = c
	return c, nil
}

func (p publisher) Change(_ context.Context, couponID int64, change publish.ChangeRequest) (coupon.Coupon, error) {
	defer p.lock()()
	c, there := p.coupons[couponID]
	if !there {
		return c, coupon.ErrNotFound
	}
	if p.pubErr == nil {
		p.changes = append(p.changes, change)
	}
	return c, p.pubErr
}

// users are tokens by their names: "alice" is alice's, "admin" an admin's.
type users struct{ err error }

func (u users) Verify(_ context.Context, token string) (auth.User, error) {
	if u.err != nil {
		return auth.User{}, u.err
	}
	if token == "expired" {
		return auth.User{}, &auth.RefusedError{Detail: "exp: the token has expired"}
	}
	return auth.User{ID: token, Admin: token == "admin"}, nil
}
