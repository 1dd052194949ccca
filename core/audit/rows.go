package audit

import (
	"context"
	"database/sql"
)

// rowWalk reads all rows of the snapshot in pages by the primary key: pages over many coupons, and where one ends within
// a coupon, pages of the rest of that one.
type rowWalk struct {
	ctx  context.Context
	tx   *sql.Tx
	told func(*entry) error
	last entry
	n    int64
}

const rowColumns = "SELECT coupon_id, user_id, nth, seq, epoch, status, idempotency_key, accepted_at FROM issues "

func walkRows(ctx context.Context, tx *sql.Tx, told func(*entry) error) (int64, error) {
	w := &rowWalk{ctx: ctx, tx: tx, told: told}
	w.last.coupon = -1 << 62
	for {
		n, err := w.page(rowColumns+"WHERE coupon_id > ? ORDER BY coupon_id, user_id, nth LIMIT ?", w.last.coupon, rowPage)
		if err != nil || n < rowPage {
			return w.n, err
		}
		for n == rowPage {
			// The first condition on user_id is what the index is entered by.
			n, err = w.page(rowColumns+"WHERE coupon_id = ? AND user_id >= ? AND (user_id > ? OR nth > ?) ORDER BY user_id, nth LIMIT ?",
				w.last.coupon, w.last.user, w.last.user, w.last.nth, rowPage)
			if err != nil {
				return w.n, err
			}
		}
	}
}

func (w *rowWalk) page(query string, args ...any) (int, error) {
	return each(w.ctx, w.tx, func(r *sql.Rows) error {
		e := entry{kind: kindRow}
		var status string
		var key sql.NullString
		var at instant
		if err := r.Scan(&e.coupon, &e.user, &e.nth, &e.seq, &e.epoch, &status, &key, &at); err != nil {
			return err
		}
		e.key, e.at = key.String, at.us
		if status == "revoked" {
			e.flags |= flagGone
		}
		w.last = e
		w.n++
		return w.told(&e)
	}, query, args...)
}

// failedEvent is a record that did not become a row.
type failedEvent struct {
	id        int64
	partition int32
	offset    int64
	reason    string
	status    string
	attempts  int
	due       int64 // when it is tried again
	coupon    int64 // 0: not known
	user      string
}

const failedColumns = "SELECT id, partition_no, offset_no, reason, status, attempts, next_attempt_at, coupon_id, user_id FROM failed_events "

func scanFailed(r *sql.Rows) (failedEvent, error) {
	var f failedEvent
	var due instant
	var coupon sql.NullInt64
	var user sql.NullString
	err := r.Scan(&f.id, &f.partition, &f.offset, &f.reason, &f.status, &f.attempts, &due, &coupon, &user)
	f.due, f.coupon, f.user = due.us, coupon.Int64, user.String
	return f, err
}

// failedWalk reads the failed events of one partition in the order of their offsets, page by page, beside the log.
type failedWalk struct {
	tx        *sql.Tx
	topic     string
	partition int32
	after     int64
	page      []failedEvent
	done      bool
}

func newFailedWalk(tx *sql.Tx, topic string, partition int32) *failedWalk {
	return &failedWalk{tx: tx, topic: topic, partition: partition, after: -1}
}

// next looks at the next event without taking it; nil: none is left.
func (w *failedWalk) next(ctx context.Context) (*failedEvent, error) {
	if len(w.page) == 0 && !w.done {
		_, err := each(ctx, w.tx, func(r *sql.Rows) error {
			f, err := scanFailed(r)
			w.page = append(w.page, f)
			return err
		}, failedColumns+"WHERE topic = ? AND partition_no = ? AND offset_no > ? ORDER BY offset_no LIMIT ?",
			w.topic, w.partition, w.after, rowPage)
		if err != nil {
			return nil, err
		}
		w.done = len(w.page) < rowPage
		if len(w.page) > 0 {
			w.after = w.page[len(w.page)-1].offset
		}
	}
	if len(w.page) == 0 {
		return nil, nil
	}
	return &w.page[0], nil
}

func (w *failedWalk) take() { w.page = w.page[1:] }
