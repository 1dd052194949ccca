package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// IssueKey is a row's place in the order of IssuesOf; the zero key is before the first.
type IssueKey struct {
	AcceptedAt time.Time
	CouponID   int64
	Nth        int
}

// Issue reads the user's nth row of a coupon, 0 the latest. coupon.ErrNotFound.
func (b *Book) Issue(ctx context.Context, couponID int64, userID string, nth int) (coupon.Issue, error) {
	db := b.read.WithContext(ctx).Where("coupon_id = ? AND user_id = ?", couponID, userID)
	if nth != 0 {
		db = db.Where("nth = ?", nth)
	}
	var rows []issueRow
	if err := db.Order("nth DESC").Limit(1).Find(&rows).Error; err != nil {
		return coupon.Issue{}, fmt.Errorf("read an issue of coupon %d: %w", couponID, err)
	}
	if len(rows) == 0 {
		return coupon.Issue{}, fmt.Errorf("issue of coupon %d: %w", couponID, coupon.ErrNotFound)
	}
	return rows[0].issue(), nil
}

// IssuesOf lists up to limit rows of a user after the one that the key names, newest first: by accepted_at, then coupon,
// then nth, all descending.
func (b *Book) IssuesOf(ctx context.Context, userID string, after IssueKey, limit int) ([]coupon.Issue, error) {
	db := b.read.WithContext(ctx).Where("user_id = ?", userID)
	if !after.AcceptedAt.IsZero() {
		// The first condition is what the index is entered by.
		db = db.Where("accepted_at <= ?", at(after.AcceptedAt)).
			Where("(accepted_at < ? OR coupon_id < ? OR (coupon_id = ? AND nth < ?))",
				at(after.AcceptedAt), after.CouponID, after.CouponID, after.Nth)
	}
	var rows []issueRow
	if err := db.Order("accepted_at DESC, coupon_id DESC, nth DESC").Limit(limit).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list a user's issues: %w", err)
	}
	issues := make([]coupon.Issue, len(rows))
	for i, r := range rows {
		issues[i] = r.issue()
	}
	return issues, nil
}

// HasIssue says whether the user has a row of this coupon or, where the coupon uses up the user's place in its event, of
// another coupon of that event.
func (b *Book) HasIssue(ctx context.Context, couponID int64, userID string) (bool, error) {
	c, err := b.Coupon(ctx, couponID)
	if err != nil {
		return false, err
	}
	db := b.read.WithContext(ctx).Where("coupon_id = ? AND user_id = ?", couponID, userID)
	if c.CountsForEvent() {
		db = b.read.WithContext(ctx).Where("event_id = ? AND user_id = ?", c.EventID, userID)
	}
	var rows []issueRow
	if err := db.Limit(1).Find(&rows).Error; err != nil {
		return false, fmt.Errorf("look for an issue of coupon %d: %w", couponID, err)
	}
	return len(rows) > 0, nil
}
