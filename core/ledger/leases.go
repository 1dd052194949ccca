package ledger

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Acquire takes or renews the lease of a name for ttl, by the database's clock where machines share it. false: another
// owner's lease lasts. Leases save work; nothing that must be safe may rest on one.
func (b *Book) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	for try := 1; ; try++ {
		var held bool
		err := b.write(ctx, func(tx *gorm.DB) (err error) {
			held, err = b.acquire(tx, name, owner, ttl)
			return err
		})
		if duplicate(err) && try < createTries {
			continue // somebody else made the row; now it can be seen
		}
		if err != nil {
			return false, fmt.Errorf("acquire lease %s: %w", name, err)
		}
		return held, nil
	}
}

func (b *Book) acquire(tx *gorm.DB, name, owner string, ttl time.Duration) (bool, error) {
	var rows []leaseRow
	if err := forUpdate(tx).Where("name = ?", name).Find(&rows).Error; err != nil {
		return false, err
	}
	now, err := b.clock(tx)
	if err != nil {
		return false, err
	}
	lease := leaseRow{Name: name, Owner: owner, Until: at(now.Add(ttl))}
	if len(rows) == 0 {
		return true, tx.Create(&lease).Error
	}
	if rows[0].Owner != owner && rows[0].Until.After(now) {
		return false, nil
	}
	return true, tx.Model(&leaseRow{}).Where("name = ?", name).
		UpdateColumns(map[string]any{"owner": owner, "until": lease.Until}).Error
}

// Release ends the owner's lease of a name; another's stays.
func (b *Book) Release(ctx context.Context, name, owner string) error {
	err := b.write(ctx, func(tx *gorm.DB) error {
		return tx.Where("name = ? AND owner = ?", name, owner).Delete(&leaseRow{}).Error
	})
	if err != nil {
		return fmt.Errorf("release lease %s: %w", name, err)
	}
	return nil
}
