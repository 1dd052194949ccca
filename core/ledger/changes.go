package ledger

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/firstcome/firstcome/core/coupon"
)

// BeginChange takes the next revision of a coupon's terms and keeps what it wants, why and who (rule 26). decide is
// called with the terms in the book and the number of rows; its error ends the transaction and is returned, with no
// revision taken. Terms that widen the present ones are stored in the same transaction (Change.Stored, rule 27); Epoch is
// read there under the lock of the gate's row, so that a rebuild of a greater epoch reads them. coupon.ErrNotFound.
func (b *Book) BeginChange(ctx context.Context, couponID int64,
	decide func(cur coupon.Terms, issued int64) (coupon.Terms, error), reason, by string,
) (coupon.Change, error) {
	cur, err := b.Coupon(ctx, couponID)
	if err != nil {
		return coupon.Change{}, err
	}
	var change coupon.Change
	err = b.write(ctx, func(tx *gorm.DB) (err error) {
		// The order of locks everywhere: gates, then issues, then coupons.
		epoch, err := gateEpoch(forShare(tx), cur.Tag())
		if err != nil {
			return err
		}
		row, err := lockCoupon(tx, couponID)
		if err != nil {
			return err
		}
		change = coupon.Change{
			CouponID: couponID, Revision: row.Revision + 1, Epoch: epoch, From: row.terms(), Reason: reason, By: by,
		}
		if change.To, err = decide(change.From, row.IssuedCount); err != nil {
			return err
		}
		change.Stored = change.From.Widens(change.To)
		set := map[string]any{"revision": change.Revision}
		if change.Stored {
			setTerms(set, change.To, change.Revision)
		}
		if err = tx.Model(&couponRow{}).Where("id = ?", couponID).UpdateColumns(set).Error; err != nil {
			return err
		}
		now, err := b.clock(tx)
		if err != nil {
			return err
		}
		kept := changeToRow(change, now)
		return tx.Create(&kept).Error
	})
	if err != nil {
		return coupon.Change{}, fmt.Errorf("begin a change of coupon %d: %w", couponID, err)
	}
	return change, nil
}

// ApplyChange stores the terms of a change that the gate has taken already (rule 26), if the gate's row, read under an
// exclusive lock, still has that epoch (else coupon.ErrOvertaken) and the change is the latest revision taken (else
// coupon.ErrSuperseded). coupon.ErrBelowIssued: more rows than the new total. Applied already: nil.
func (b *Book) ApplyChange(ctx context.Context, c coupon.Change, epochAtGate int64) error {
	cur, err := b.Coupon(ctx, c.CouponID)
	if err != nil {
		return err
	}
	err = b.write(ctx, func(tx *gorm.DB) (err error) {
		epoch, err := gateEpoch(forUpdate(tx), cur.Tag())
		if err != nil {
			return err
		}
		row, err := lockCoupon(tx, c.CouponID)
		switch {
		case err != nil:
			return err
		case row.Revision != c.Revision:
			return coupon.ErrSuperseded
		case row.AppliedRevision == c.Revision && row.terms().Same(c.To):
			return nil
		case epoch != epochAtGate:
			return coupon.ErrOvertaken
		case c.To.Total != nil && row.IssuedCount > *c.To.Total:
			return coupon.ErrBelowIssued
		}
		set := map[string]any{}
		setTerms(set, c.To, c.Revision)
		return tx.Model(&couponRow{}).Where("id = ?", c.CouponID).UpdateColumns(set).Error
	})
	if err != nil {
		return fmt.Errorf("apply revision %d of coupon %d: %w", c.Revision, c.CouponID, err)
	}
	return nil
}

// EndChange notes how a change ended. The first note stands; ended already: nil.
func (b *Book) EndChange(ctx context.Context, c coupon.Change, outcome string) error {
	row := changeEndRow{CouponID: c.CouponID, Revision: c.Revision, Outcome: outcome, EndedAt: at(time.Now())}
	err := b.write(ctx, func(tx *gorm.DB) error {
		return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
	})
	if err != nil {
		return fmt.Errorf("end revision %d of coupon %d: %w", c.Revision, c.CouponID, err)
	}
	return nil
}

// OpenChanges lists up to limit changes that were begun longer ago and have not ended, oldest first. Stored is what it was
// when the change began.
func (b *Book) OpenChanges(ctx context.Context, olderThan time.Duration, limit int) ([]coupon.Change, error) {
	now, err := b.clock(b.read.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("read the database's clock: %w", err)
	}
	var rows []changeRow
	err = b.read.WithContext(ctx).
		Where("created_at <= ?", at(now.Add(-olderThan))).
		Where("NOT EXISTS (?)", b.read.Model(&changeEndRow{}).Select("1").
			Where("coupon_change_ends.coupon_id = coupon_changes.coupon_id").
			Where("coupon_change_ends.revision = coupon_changes.revision")).
		Order("created_at, coupon_id, revision").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list open changes: %w", err)
	}
	changes := make([]coupon.Change, len(rows))
	for i, r := range rows {
		changes[i] = r.change()
	}
	return changes, nil
}

// gateEpoch reads the epoch of a gate through a locking read.
func gateEpoch(locking *gorm.DB, tag string) (int64, error) {
	var gates []gateRow
	if err := locking.Select("tag", "epoch").Where("tag = ?", tag).Find(&gates).Error; err != nil {
		return 0, err
	}
	if len(gates) == 0 {
		return 0, fmt.Errorf("gate %s: %w", tag, coupon.ErrNotFound)
	}
	return gates[0].Epoch, nil
}

func lockCoupon(tx *gorm.DB, id int64) (couponRow, error) {
	var rows []couponRow
	if err := forUpdate(tx).Where("id = ?", id).Find(&rows).Error; err != nil {
		return couponRow{}, err
	}
	if len(rows) == 0 {
		return couponRow{}, fmt.Errorf("coupon %d: %w", id, coupon.ErrNotFound)
	}
	return rows[0], nil
}

// setTerms adds the columns of a revision's terms.
func setTerms(set map[string]any, t coupon.Terms, revision int64) {
	set["total_quantity"] = t.Total
	set["state"] = string(t.State)
	set["opens_at"] = at(t.OpensAt)
	set["closes_at"] = at(t.ClosesAt)
	set["applied_revision"] = revision
}

func changeToRow(c coupon.Change, now time.Time) changeRow {
	return changeRow{
		CouponID: c.CouponID, Revision: c.Revision, Epoch: c.Epoch, StoredFirst: c.Stored,
		FromTotal: c.From.Total, FromState: string(c.From.State), FromOpensAt: at(c.From.OpensAt), FromClosesAt: at(c.From.ClosesAt),
		ToTotal: c.To.Total, ToState: string(c.To.State), ToOpensAt: at(c.To.OpensAt), ToClosesAt: at(c.To.ClosesAt),
		Reason: c.Reason, ChangedBy: c.By, CreatedAt: at(now),
	}
}

func (r changeRow) change() coupon.Change {
	return coupon.Change{
		CouponID: r.CouponID, Revision: r.Revision, Epoch: r.Epoch, Reason: r.Reason, By: r.ChangedBy, Stored: r.StoredFirst,
		From: coupon.Terms{Total: r.FromTotal, State: coupon.State(r.FromState), OpensAt: r.FromOpensAt.Time, ClosesAt: r.FromClosesAt.Time},
		To:   coupon.Terms{Total: r.ToTotal, State: coupon.State(r.ToState), OpensAt: r.ToOpensAt.Time, ClosesAt: r.ToClosesAt.Time},
	}
}
