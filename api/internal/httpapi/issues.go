package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/firstcome/firstcome/api/internal/contract"
	"github.com/firstcome/firstcome/core/coupon"
)

// ListMyIssues answers a page of the user's issued coupons.
func (s *server) ListMyIssues(c *gin.Context, params contract.ListMyIssuesParams) {
	after, err := afterIssue(params.Cursor)
	if err != nil {
		s.fail(c, err)
		return
	}
	limit := limitOf(params.Limit)
	issues, err := s.Issues.IssuesOf(c.Request.Context(), exchangeOf(c).user.ID, after, limit+1)
	if err != nil {
		s.fail(c, err)
		return
	}
	issues, more := page(issues, limit)
	answer := contract.IssuePage{Items: make([]contract.Issue, len(issues))}
	for i, row := range issues {
		answer.Items[i] = rowDocument(row)
	}
	if more {
		last := issues[len(issues)-1]
		next := issueCursor(IssueKey{AcceptedAt: last.AcceptedAt, CouponID: last.CouponID, Nth: last.Nth})
		answer.NextCursor = &next
	}
	s.answers.document(c, http.StatusOK, answer)
}

// GetMyIssue answers what became of a claim.
func (s *server) GetMyIssue(c *gin.Context, id contract.CouponID, params contract.GetMyIssueParams) {
	ctx := c.Request.Context()
	ref, err := s.Refs.Ref(ctx, id)
	if err != nil {
		s.fail(c, err)
		return
	}
	nth := 0
	if params.Nth != nil {
		nth = *params.Nth
	}
	doc, err := s.state(ctx, ref, exchangeOf(c).user.ID, nth)
	switch {
	case errors.Is(err, coupon.ErrNotFound):
		s.answers.problem(c, problem{code: coupon.CodeNoIssue})
	case err != nil:
		s.fail(c, err)
	default:
		s.answers.document(c, http.StatusOK, doc)
	}
}

// errPending: the user has a place, and the journal may not have it yet; nothing is promised.
var errPending = errors.New("the place is not in the journal yet")

// state tells of the user's nth claim, 0 the latest. The first that fits: the row; a settled holder; a failed event;
// then pending or no sound gate, which leave it unknown; then coupon.ErrNotFound.
func (s *server) state(ctx context.Context, ref coupon.Ref, userID string, nth int) (contract.Issue, error) {
	row, err := s.Issues.Issue(ctx, ref.CouponID, userID, nth)
	hasRow := err == nil
	if err != nil && !errors.Is(err, coupon.ErrNotFound) {
		return contract.Issue{}, fmt.Errorf("read the row: %w", err)
	}
	if hasRow && (nth != 0 || ref.PerUserLimit <= 1) {
		return rowDocument(row), nil
	}
	// Where a user may have several places and asks for the latest, the gate may know a later one than the ledger.
	held := s.holder(ctx, ref, userID, nth)
	switch {
	case hasRow && !held.laterThan(row):
		return rowDocument(row), nil
	case held.settled():
		return placeDocument(held.place, held.status()), nil
	default:
		return s.unsettled(ctx, ref, userID, nth, held)
	}
}

// unsettled tells of a claim that is neither a row nor a settled place.
func (s *server) unsettled(ctx context.Context, ref coupon.Ref, userID string, nth int, held holding) (contract.Issue, error) {
	if nth == 0 {
		nth = held.place.Nth // 0 still where the gate knows of none
	}
	rejected, found, err := s.rejected(ctx, ref, userID, nth)
	switch {
	case err != nil || found:
		return rejected, err
	case held.err != nil:
		return contract.Issue{}, fmt.Errorf("ask the gate: %w", held.err)
	case held.verdict != 0:
		return contract.Issue{}, errPending
	default:
		return contract.Issue{}, coupon.ErrNotFound
	}
}

// holding is what a gate said of a user's place. Without err and verdict, the gate is sound and knows of none.
type holding struct {
	place   coupon.Place
	verdict coupon.Verdict
	err     error
}

// laterThan says whether the gate knows of a later claim than the row's.
func (h holding) laterThan(row coupon.Issue) bool {
	return h.err == nil && h.verdict != 0 && h.place.Nth > row.Nth
}

func (h holding) settled() bool {
	return h.err == nil && (h.verdict == coupon.Holder || h.verdict == coupon.Revoked)
}

func (h holding) status() string {
	if h.verdict == coupon.Revoked {
		return string(coupon.StatusRevoked)
	}
	return coupon.StatusAccepted
}

// holder asks the gate, once more with fresh siblings when that is what it misses, and has a lost gate rebuilt.
func (s *server) holder(ctx context.Context, ref coupon.Ref, userID string, nth int) (h holding) {
	var unsound *coupon.UnsoundError
	h.place, h.verdict, h.err = s.Gate.Holder(ctx, ref, userID, nth)
	if errors.As(h.err, &unsound) && unsound.Why == coupon.WhyCoupons {
		if ref, h.err = s.Refs.Refresh(ctx, ref.CouponID); h.err == nil {
			h.place, h.verdict, h.err = s.Gate.Holder(ctx, ref, userID, nth)
		}
	}
	if errors.As(h.err, &unsound) {
		s.OnUnsound(*unsound)
	}
	return h
}

// rejected looks for a failed event of the claim; nth 0 is any.
func (s *server) rejected(ctx context.Context, ref coupon.Ref, userID string, nth int) (contract.Issue, bool, error) {
	event, err := s.Issues.FailedOf(ctx, ref.CouponID, userID)
	if errors.Is(err, coupon.ErrNotFound) {
		return contract.Issue{}, false, nil
	}
	if err != nil {
		return contract.Issue{}, false, fmt.Errorf("read the failed event: %w", err)
	}
	if ref.PerUserLimit > 1 && nth != 0 && s.NthOf(event.Payload) != nth {
		return contract.Issue{}, false, nil // another claim of this user
	}
	reason := contract.FailReason(event.Reason)
	return contract.Issue{
		CouponId: ref.CouponID, UserId: userID, Status: coupon.StatusRejected, Reason: &reason, Nth: unlessZero(nth),
	}, true, nil
}

func placeDocument(p coupon.Place, status string) contract.Issue {
	return contract.Issue{
		CouponId: p.CouponID, UserId: p.UserID, Nth: &p.Nth, Seq: &p.Seq,
		Status: contract.IssueStatus(status), AcceptedAt: timeUnlessZero(p.AcceptedAt),
	}
}

func rowDocument(row coupon.Issue) contract.Issue {
	doc := placeDocument(row.Place, string(row.Status))
	doc.IssuedAt, doc.UsedAt = timeUnlessZero(row.IssuedAt), timeUnlessZero(row.UsedAt)
	doc.ExpiresAt = timeUnlessZero(row.ExpiresAt)
	return doc
}

func timeUnlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
