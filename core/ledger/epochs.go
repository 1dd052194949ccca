package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	// fenceChunk bounds the gates that one transaction locks exclusively: consumers whose batch holds one of them wait
	// for it, a few milliseconds.
	fenceChunk = 200
	// barrierChunk bounds the barrier rows of one statement: four columns each.
	barrierChunk = 4000
)

// BumpEpochs takes the next epoch of each tag and leases it to owner (rule 17). A tag that another owner's lease covers is
// left out, unless forced; so is one that does not exist or is retired. The marks have no token yet. After an error some
// tags may have been taken; their epochs are skipped by the next attempt.
func (b *Book) BumpEpochs(ctx context.Context, tags []string, owner string, lease time.Duration, force bool) ([]coupon.Mark, error) {
	var marks []coupon.Mark
	for part := range chunks(sorted(tags), fenceChunk) {
		var taken []coupon.Mark
		err := b.write(ctx, func(tx *gorm.DB) (err error) {
			taken, err = b.bump(tx, part, owner, lease, force)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("take the next epochs: %w", err)
		}
		marks = append(marks, taken...)
	}
	return marks, nil
}

func (b *Book) bump(tx *gorm.DB, tags []string, owner string, lease time.Duration, force bool) ([]coupon.Mark, error) {
	var gates []gateRow
	if err := forUpdate(tx).Where("tag IN ?", tags).Where("state = ?", gateLive).Order("tag").Find(&gates).Error; err != nil {
		return nil, err
	}
	now, err := b.clock(tx)
	if err != nil {
		return nil, err
	}
	var marks []coupon.Mark
	var take []string
	for _, g := range gates {
		if force || g.Owner == owner || !g.LeaseUntil.After(now) {
			marks = append(marks, coupon.Mark{Tag: g.Tag, Epoch: g.Epoch + 1})
			take = append(take, g.Tag)
		}
	}
	if len(take) == 0 {
		return nil, nil
	}
	return marks, tx.Model(&gateRow{}).Where("tag IN ?", take).UpdateColumns(map[string]any{
		"epoch": gorm.Expr("epoch + 1"), "owner": owner, "lease_until": at(now.Add(lease)), "updated_at": at(now),
	}).Error
}

// StoreBarriers stores the noted ends of each mark whose epoch is still the database's (rule 20) and returns those marks.
// The gates' rows are read under an exclusive lock, so that no consumer's transaction is half before and half after the
// barrier. Where a barrier of this epoch stands already, the mark is kept only if it noted the same ends: records were
// judged by them.
func (b *Book) StoreBarriers(ctx context.Context, marks []coupon.Mark, ends map[int32]int64) ([]coupon.Mark, error) {
	if len(ends) == 0 {
		return nil, errors.New("store barriers: no partitions were noted; a barrier without one would overtake every record")
	}
	ordered := slices.SortedFunc(slices.Values(marks), func(a, c coupon.Mark) int {
		if a.Tag < c.Tag {
			return -1
		}
		return 1
	})
	var kept []coupon.Mark
	for part := range chunks(ordered, fenceChunk) {
		var stored []coupon.Mark
		err := b.write(ctx, func(tx *gorm.DB) (err error) {
			stored, err = storeBarriers(tx, part, ends)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("store barriers: %w", err)
		}
		kept = append(kept, stored...)
	}
	return kept, nil
}

func storeBarriers(tx *gorm.DB, marks []coupon.Mark, ends map[int32]int64) ([]coupon.Mark, error) {
	tags := make([]string, len(marks))
	for i, m := range marks {
		tags[i] = m.Tag
	}
	var gates []gateRow
	if err := forUpdate(tx).Select("tag", "epoch").Where("tag IN ?", tags).Order("tag").Find(&gates).Error; err != nil {
		return nil, err
	}
	epochs := make(map[string]int64, len(gates))
	for _, g := range gates {
		epochs[g.Tag] = g.Epoch
	}
	there, err := barriersOf(tx, tags)
	if err != nil {
		return nil, err
	}
	var kept []coupon.Mark
	var rows []barrierRow
	for _, m := range marks {
		if epochs[m.Tag] != m.Epoch {
			continue
		}
		stored := slices.IndexFunc(there[m.Tag], func(x coupon.Barrier) bool { return x.Epoch == m.Epoch })
		switch {
		case stored < 0:
			for _, partition := range slices.Sorted(maps.Keys(ends)) {
				rows = append(rows, barrierRow{Tag: m.Tag, Epoch: m.Epoch, PartitionNo: partition, NotedEnd: ends[partition]})
			}
		case !maps.Equal(there[m.Tag][stored].Ends, ends):
			continue
		}
		kept = append(kept, m)
	}
	for part := range chunks(rows, barrierChunk) {
		if err := tx.Create(&part).Error; err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// Barriers reads all stored barriers of these tags, of each tag by ascending epoch.
func (b *Book) Barriers(ctx context.Context, tags []string) (coupon.Barriers, error) {
	barriers, err := barriersOf(b.read.WithContext(ctx), tags)
	if err != nil {
		return nil, fmt.Errorf("read barriers: %w", err)
	}
	return barriers, nil
}

// Seen are the offsets of the topic that the ledger knows: each record below was in the log once. They come from the
// barriers, which do not say of which topic they are, and from the failed events.
func (b *Book) Seen(ctx context.Context, topic string) (map[int32]int64, error) {
	seen := map[int32]int64{}
	for _, from := range []*gorm.DB{
		b.read.WithContext(ctx).Model(&barrierRow{}).Select("partition_no, MAX(noted_end) AS noted_end"),
		b.read.WithContext(ctx).Model(&failedRow{}).Select("partition_no, MAX(offset_no) + 1 AS noted_end").Where("topic = ?", topic),
	} {
		var rows []barrierRow
		if err := from.Group("partition_no").Scan(&rows).Error; err != nil {
			return nil, fmt.Errorf("read the offsets that were seen: %w", err)
		}
		for _, r := range rows {
			seen[r.PartitionNo] = max(seen[r.PartitionNo], r.NotedEnd)
		}
	}
	return seen, nil
}

func barriersOf(db *gorm.DB, tags []string) (coupon.Barriers, error) {
	barriers := make(coupon.Barriers)
	for part := range chunks(tags, fenceChunk) {
		var rows []barrierRow
		if err := db.Where("tag IN ?", part).Order("tag, epoch, partition_no").Find(&rows).Error; err != nil {
			return nil, err
		}
		for _, r := range rows {
			list := barriers[r.Tag]
			if len(list) == 0 || list[len(list)-1].Epoch != r.Epoch {
				list = append(list, coupon.Barrier{Epoch: r.Epoch, Ends: make(map[int32]int64)})
			}
			list[len(list)-1].Ends[r.PartitionNo] = r.NotedEnd
			barriers[r.Tag] = list
		}
	}
	return barriers, nil
}

// ReleaseLeases ends the leases of these epochs; a tag that went on to another epoch keeps its lease.
func (b *Book) ReleaseLeases(ctx context.Context, marks []coupon.Mark) error {
	byEpoch := make(map[int64][]string)
	for _, m := range marks {
		byEpoch[m.Epoch] = append(byEpoch[m.Epoch], m.Tag)
	}
	for _, epoch := range slices.Sorted(maps.Keys(byEpoch)) {
		for part := range chunks(sorted(byEpoch[epoch]), fenceChunk) {
			err := b.write(ctx, func(tx *gorm.DB) error {
				return tx.Model(&gateRow{}).Where("tag IN ?", part).Where("epoch = ?", epoch).
					UpdateColumns(map[string]any{"owner": "", "lease_until": nil}).Error
			})
			if err != nil {
				return fmt.Errorf("release leases: %w", err)
			}
		}
	}
	return nil
}

// sorted is a list of tags in the order in which all lock them, each once.
func sorted(tags []string) []string { return slices.Compact(slices.Sorted(slices.Values(tags))) }
