package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/firstcome/firstcome/core/coupon"
)

// createTries bounds how often a row is tried whose unique key was hit although nothing stands there when looked at:
// somebody else's transaction was on its way then, and each further try needs another such.
const createTries = 3

// CreateVendor books a vendor. coupon.ErrNameTaken, coupon.ErrIDTaken (the maker of the id tries another).
func (b *Book) CreateVendor(ctx context.Context, id int64, name string) error {
	row := vendorRow{ID: id, Name: name, CreatedAt: at(time.Now())}
	err := b.create(ctx, &vendorRow{}, id, name, func(tx *gorm.DB) error { return tx.Create(&row).Error })
	if err != nil {
		return fmt.Errorf("create vendor %d: %w", id, err)
	}
	return nil
}

// CreateEvent books an event and its gate, at epoch 1 (rule 29). coupon.ErrNameTaken, coupon.ErrIDTaken (the maker of the
// id tries another).
func (b *Book) CreateEvent(ctx context.Context, e coupon.Event) error {
	now := at(time.Now())
	row := eventRow{ID: e.ID, Name: e.Name, StartsAt: at(e.StartsAt), EndsAt: at(e.EndsAt), CreatedAt: now}
	gate := newGate(coupon.EventTag(e.ID), now)
	err := b.create(ctx, &eventRow{}, e.ID, e.Name, func(tx *gorm.DB) error {
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return tx.Create(&gate).Error
	})
	if err != nil {
		return fmt.Errorf("create event %d: %w", e.ID, err)
	}
	return nil
}

func newGate(tag string, now stamp) gateRow {
	return gateRow{Tag: tag, Epoch: 1, State: gateLive, CreatedAt: now, UpdatedAt: now}
}

// create runs insert in a transaction; where a unique key is hit it says which one.
func (b *Book) create(ctx context.Context, model any, id int64, name string, insert func(tx *gorm.DB) error) error {
	for try := 1; ; try++ {
		err := b.write(ctx, insert)
		if !duplicate(err) {
			return err
		}
		taken, lookErr := b.taken(ctx, model, id, name)
		if lookErr != nil {
			return errors.Join(err, lookErr)
		}
		if taken != nil {
			return taken
		}
		if try == createTries {
			return err
		}
	}
}

func (b *Book) taken(ctx context.Context, model any, id int64, name string) (taken, err error) {
	var byName, byID int64
	db := b.read.WithContext(ctx)
	if err := db.Model(model).Where("name = ?", name).Count(&byName).Error; err != nil {
		return nil, err
	}
	if byName > 0 {
		return coupon.ErrNameTaken, nil
	}
	if err := db.Model(model).Where("id = ?", id).Count(&byID).Error; err != nil {
		return nil, err
	}
	if byID > 0 {
		return coupon.ErrIDTaken, nil
	}
	return nil, nil
}

// Coupon reads one coupon. coupon.ErrNotFound.
func (b *Book) Coupon(ctx context.Context, id int64) (coupon.Coupon, error) {
	var rows []couponRow
	if err := b.read.WithContext(ctx).Where("id = ?", id).Limit(1).Find(&rows).Error; err != nil {
		return coupon.Coupon{}, fmt.Errorf("read coupon %d: %w", id, err)
	}
	if len(rows) == 0 {
		return coupon.Coupon{}, fmt.Errorf("coupon %d: %w", id, coupon.ErrNotFound)
	}
	return rows[0].coupon(), nil
}

// Coupons lists up to limit coupons with ids above afterID, ascending.
func (b *Book) Coupons(ctx context.Context, afterID int64, limit int) ([]coupon.Coupon, error) {
	var rows []couponRow
	if err := b.read.WithContext(ctx).Where("id > ?", afterID).Order("id").Limit(limit).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list coupons: %w", err)
	}
	return couponsOf(rows), nil
}

func couponsOf(rows []couponRow) []coupon.Coupon {
	out := make([]coupon.Coupon, len(rows))
	for i, r := range rows {
		out[i] = r.coupon()
	}
	return out
}

// live are the coupons of tags that are on sale, up to limit, with ids above afterID, ascending, and all coupons of
// their tags.
//
// The gate's state is asked for coupon by coupon, in the order of their ids. As a join MySQL may begin with the gates
// while its statistics are behind a publishing of many, and then reads and sorts all of them for each page.
func (b *Book) live(ctx context.Context, afterID int64, limit int) (page, siblings []couponRow, err error) {
	db := b.read.WithContext(ctx)
	err = db.Where("id > ? AND (SELECT state FROM gates WHERE gates.tag = coupons.tag) = ?", afterID, gateLive).
		Order("id").Limit(limit).Find(&page).Error
	if err != nil {
		return nil, nil, fmt.Errorf("list live coupons: %w", err)
	}
	var events []int64
	seen := make(map[int64]bool)
	for _, row := range page {
		if id := value(row.EventID); id != 0 && !seen[id] {
			seen[id] = true
			events = append(events, id)
		}
	}
	if len(events) == 0 {
		return page, nil, nil
	}
	tags := make([]string, len(events))
	for i, id := range events {
		tags[i] = coupon.EventTag(id)
	}
	if err := db.Select("id", "tag").Where("tag IN ?", tags).Order("id").Find(&siblings).Error; err != nil {
		return nil, nil, fmt.Errorf("list siblings: %w", err)
	}
	return page, siblings, nil
}

// family are all coupons of the tag of one coupon, ascending; empty where there is no such coupon.
func (b *Book) family(ctx context.Context, couponID int64) ([]couponRow, error) {
	var rows []couponRow
	err := b.read.WithContext(ctx).
		Where("tag = (?)", b.read.Model(&couponRow{}).Select("tag").Where("id = ?", couponID)).
		Order("id").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read coupon %d and its siblings: %w", couponID, err)
	}
	return rows, nil
}

// byIDs reads the coupons with these ids.
func (b *Book) byIDs(ctx context.Context, ids []int64) ([]couponRow, error) {
	var out []couponRow
	for part := range chunks(ids, chunk) {
		var rows []couponRow
		if err := b.read.WithContext(ctx).Where("id IN ?", part).Find(&rows).Error; err != nil {
			return nil, fmt.Errorf("read coupons: %w", err)
		}
		out = append(out, rows...)
	}
	return out, nil
}

// forUpdate is the exclusive locking read, forShare the shared one. SQLite's transactions hold the only write lock
// anyway, and gorm leaves the clause out there.
func forUpdate(tx *gorm.DB) *gorm.DB { return tx.Clauses(clause.Locking{Strength: "UPDATE"}) }
func forShare(tx *gorm.DB) *gorm.DB  { return tx.Clauses(clause.Locking{Strength: "SHARE"}) }
