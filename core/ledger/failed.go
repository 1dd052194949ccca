package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	// firstRetry is the pause before a failed event is due, doubled by each attempt that its record has behind it, up
	// to lastRetry: a record that fails again and again waits as long as a retry that fails does.
	firstRetry = 10 * time.Second
	lastRetry  = time.Hour
	// maxRecordKey, maxErrorText: what a failed event keeps of a record's key (bytes) and of the reason for people
	// (characters); a good key is a user id.
	maxRecordKey = 256
	maxErrorText = 1000
	// failedChunk bounds the failed events of one statement: 8 KiB each, escaped at most twice as long, stay below the
	// smallest max_allowed_packet in use, 4 MiB.
	failedChunk = 100
)

// FailedEvents lists up to limit failed events with ids above afterID, ascending; "" as a filter is any.
func (b *Book) FailedEvents(ctx context.Context, afterID int64, limit int, reason coupon.FailReason,
	status coupon.FailedStatus,
) ([]coupon.FailedEvent, error) {
	db := b.read.WithContext(ctx).Where("id > ?", afterID)
	if reason != "" {
		db = db.Where("reason = ?", string(reason))
	}
	if status != "" {
		db = db.Where("status = ?", string(status))
	}
	var rows []failedRow
	if err := db.Order("id").Limit(limit).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list failed events: %w", err)
	}
	return eventsOf(rows), nil
}

// FailedOf reads the latest failed event of the user's claim that was not replayed; a replayed one has another record
// that tells the rest. coupon.ErrNotFound.
func (b *Book) FailedOf(ctx context.Context, couponID int64, userID string) (coupon.FailedEvent, error) {
	var rows []failedRow
	err := b.read.WithContext(ctx).Where("coupon_id = ? AND user_id = ?", couponID, userID).
		Where("status <> ?", string(coupon.FailedReplayed)).Order("id DESC").Limit(1).Find(&rows).Error
	if err != nil {
		return coupon.FailedEvent{}, fmt.Errorf("read a failed event of coupon %d: %w", couponID, err)
	}
	if len(rows) == 0 {
		return coupon.FailedEvent{}, fmt.Errorf("failed event of coupon %d: %w", couponID, coupon.ErrNotFound)
	}
	return rows[0].event(), nil
}

// FailedCount is how many failed events there are of one kind.
type FailedCount struct {
	Status coupon.FailedStatus
	Reason coupon.FailReason
	Events int64
	Oldest time.Time // of the one that has been there longest
}

// FailedCounts counts the failed events that are not settled: those that wait and those in quarantine.
func (b *Book) FailedCounts(ctx context.Context) (counts []FailedCount, err error) {
	rows, err := b.read.WithContext(ctx).Model(&failedRow{}).Select("status, reason, COUNT(*), MIN(created_at)").
		Where("status IN ?", []string{string(coupon.FailedWaiting), string(coupon.FailedQuarantined)}).Group("status, reason").Rows()
	if err != nil {
		return nil, fmt.Errorf("count failed events: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c FailedCount
		var oldest stamp
		if err := rows.Scan(&c.Status, &c.Reason, &c.Events, &oldest); err != nil {
			return nil, fmt.Errorf("count failed events: %w", err)
		}
		c.Oldest = oldest.Time
		counts = append(counts, c)
	}
	return counts, rows.Err()
}

// DueFailed takes up to limit waiting events whose time has come, longest due first, and leases them to owner: nobody
// else gets them for that long. The lease saves work only; an event that is replayed twice makes a duplicate.
func (b *Book) DueFailed(ctx context.Context, limit int, owner string, lease time.Duration) ([]coupon.FailedEvent, error) {
	var rows []failedRow
	err := b.write(ctx, func(tx *gorm.DB) error {
		now, err := b.clock(tx)
		if err != nil {
			return err
		}
		rows = nil
		err = forUpdate(tx).Where("status = ? AND next_attempt_at <= ?", string(coupon.FailedWaiting), at(now)).
			Where("(lease_until IS NULL OR lease_until <= ? OR lease_owner = ?)", at(now), owner).
			Order("next_attempt_at, id").Limit(limit).Find(&rows).Error
		if err != nil {
			return err
		}
		ids := make([]int64, len(rows))
		for i, r := range rows {
			ids[i] = r.ID
		}
		for part := range chunks(ids, chunk) {
			err := tx.Model(&failedRow{}).Where("id IN ?", part).
				UpdateColumns(map[string]any{"lease_owner": owner, "lease_until": at(now.Add(lease))}).Error
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("take failed events: %w", err)
	}
	return eventsOf(rows), nil
}

// CloseFailed gives a waiting event its final status. One that is waiting no more stays as it is.
func (b *Book) CloseFailed(ctx context.Context, id int64, status coupon.FailedStatus) error {
	return b.settle(ctx, b.db.Where("id = ?", id), id, map[string]any{"status": string(status)})
}

// PostponeFailed counts an attempt of a waiting event that had so many before, and sets when the next one is due, or
// quarantines it; why is kept for people. One that is waiting no more stays as it is, and so does one whose attempts have
// changed since: its lease ran out and another retrier made this attempt, or an admin had it begin anew.
func (b *Book) PostponeFailed(ctx context.Context, id int64, attempts int, next time.Time, why string, quarantine bool) error {
	set := map[string]any{
		"attempts": gorm.Expr("attempts + 1"), "next_attempt_at": at(next), "error": cutText(why, maxErrorText),
	}
	if quarantine {
		set["status"] = string(coupon.FailedQuarantined)
	}
	return b.settle(ctx, b.db.Where("id = ? AND attempts = ?", id, attempts), id, set)
}

func (b *Book) settle(ctx context.Context, which *gorm.DB, id int64, set map[string]any) error {
	set["lease_owner"], set["lease_until"], set["updated_at"] = "", nil, at(time.Now())
	err := b.write(ctx, func(tx *gorm.DB) error {
		return tx.Model(&failedRow{}).Where(which).Where("status = ?", string(coupon.FailedWaiting)).UpdateColumns(set).Error
	})
	if err != nil {
		return fmt.Errorf("settle failed event %d: %w", id, err)
	}
	return nil
}

// RequeueFailed makes an event due now with all its attempts before it, whatever its status; an admin asks for it.
// coupon.ErrNotFound.
func (b *Book) RequeueFailed(ctx context.Context, id int64) error {
	err := b.write(ctx, func(tx *gorm.DB) error {
		var rows []failedRow
		if err := forUpdate(tx).Select("id").Where("id = ?", id).Find(&rows).Error; err != nil {
			return err
		}
		if len(rows) == 0 {
			return coupon.ErrNotFound
		}
		now, err := b.clock(tx)
		if err != nil {
			return err
		}
		return tx.Model(&failedRow{}).Where("id = ?", id).UpdateColumns(map[string]any{
			"status": string(coupon.FailedWaiting), "attempts": 0, "next_attempt_at": at(now), "lease_owner": "",
			"lease_until": nil, "updated_at": at(now),
		}).Error
	})
	if err != nil {
		return fmt.Errorf("requeue failed event %d: %w", id, err)
	}
	return nil
}

// insertFailed keeps failed events; one that is there already, by topic, partition and offset, stays as it is.
func insertFailed(tx *gorm.DB, rows []failedRow) error {
	for part := range chunks(rows, failedChunk) {
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Omit("id").Create(&part).Error; err != nil {
			return err
		}
	}
	return nil
}

// retryAfter is the pause before a failed event whose record has so many attempts behind it.
func retryAfter(attempts int) time.Duration {
	if attempts > 12 { // 10 s * 2^12 is above an hour; no shift overflows
		return lastRetry
	}
	return min(firstRetry<<max(attempts, 0), lastRetry)
}

func eventsOf(rows []failedRow) []coupon.FailedEvent {
	events := make([]coupon.FailedEvent, len(rows))
	for i, r := range rows {
		events[i] = r.event()
	}
	return events
}

// cutText makes any text storable: at most so many characters, none of them broken.
func cutText(s string, most int) string {
	var out []rune
	for _, r := range s {
		if len(out) == most {
			break
		}
		if r == utf8.RuneError || r == 0 {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}

func cutBytes(s []byte, most int) []byte {
	if s == nil {
		return []byte{}
	}
	return s[:min(len(s), most)]
}
