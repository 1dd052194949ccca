package audit

import (
	"context"
	"database/sql"
	"fmt"
)

// overdue looks at the failed events of other topics: records that nobody writes any more.
func (p *pass) overdue(ctx context.Context) error {
	_, err := each(ctx, p.tx, func(r *sql.Rows) error {
		f, err := scanFailed(r)
		if err == nil {
			p.failed(&f, false)
		}
		return err
	}, failedColumns+"WHERE topic <> ? AND status <> 'replayed' ORDER BY id LIMIT ?", p.cfg.Kafka.Topic, p.cfg.Keep)
	return err
}

const openChanges = `SELECT ch.coupon_id, ch.revision, ch.created_at FROM coupon_changes ch WHERE NOT EXISTS
	(SELECT 1 FROM coupon_change_ends e WHERE e.coupon_id = ch.coupon_id AND e.revision = ch.revision)`

// halfDone looks for changes that should have ended by now.
func (p *pass) halfDone(ctx context.Context) ([]Finding, error) {
	now, err := p.db.now(ctx, p.db.db)
	if err != nil {
		return nil, blind(Database, err)
	}
	list, err := p.openChanges(ctx, now)
	return list, blind(Database, err)
}

func (p *pass) openChanges(ctx context.Context, now int64) (list []Finding, err error) {
	_, err = each(ctx, p.db.db, func(r *sql.Rows) error {
		var id, revision int64
		var created instant
		if errScan := r.Scan(&id, &revision, &created); errScan != nil {
			return errScan
		}
		c := p.catalog.coupons[id]
		if c == nil || !p.catalog.watches(c.tag.name) || created.us > now-changeGrace.Microseconds() {
			return nil
		}
		list = append(list, Finding{Type: ChangeHalfDone, Subject: Subject{Coupon: id, Tag: c.tag.name, Revision: revision},
			Evidence: fmt.Sprintf("coupon_changes has it since %s, and coupon_change_ends has no end of it", text(created.us))})
		return nil
	}, openChanges+" ORDER BY ch.created_at LIMIT ?", p.cfg.Keep)
	return list, err
}
