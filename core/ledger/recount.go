package ledger

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/firstcome/firstcome/core/coupon"
)

// Recount sets a coupon's counter to the number of its rows, and says what it was and is. The coupon's row is locked
// first: a writer whose rows are there adds them to the counter under the same lock, before or after, so that none is
// counted twice or left out. coupon.ErrBelowIssued: there are more rows than the total; that is a person's decision, and
// nothing was changed. coupon.ErrNotFound.
func (b *Book) Recount(ctx context.Context, couponID int64) (was, is int64, _ error) {
	failed := b.write(ctx, func(tx *gorm.DB) error {
		row, err := lockCoupon(tx, couponID)
		if err != nil {
			return err
		}
		was = row.IssuedCount
		if err = tx.Model(&issueRow{}).Where("coupon_id = ?", couponID).Count(&is).Error; err != nil {
			return err
		}
		switch {
		case is == was:
			return nil
		case row.TotalQuantity != nil && is > *row.TotalQuantity:
			return coupon.ErrBelowIssued
		}
		return tx.Model(&couponRow{}).Where("id = ?", couponID).UpdateColumn("issued_count", is).Error
	})
	if failed != nil {
		return 0, 0, fmt.Errorf("recount coupon %d: %w", couponID, failed)
	}
	return was, is, nil
}
