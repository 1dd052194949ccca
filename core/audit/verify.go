package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Verify compares the three books. The error is a BlindError when one of them could not be looked at, a NoCouponError when
// the coupon to look at is not there; then nothing is judged. What looks wrong is looked at a second time, from the
// beginning, and only what is wrong both times is a finding.
func Verify(ctx context.Context, cfg Config) (r Report, err error) {
	began := time.Now()
	a := &auditor{cfg: cfg.withDefaults()}
	if err = a.open(ctx); err != nil {
		return Report{}, errors.Join(err, a.close())
	}
	defer func() { err = errors.Join(err, a.close()) }()
	first, err := a.pass(ctx, nil)
	if err != nil || len(first.found.list) == 0 {
		return first.report(began), err
	}
	a.say("%d things look wrong and are looked at again, such as %s, %v", len(first.found.list), first.found.list[0].Type, first.found.list[0].Subject)
	second, err := a.pass(ctx, first.found)
	if err != nil {
		return Report{}, err
	}
	second.found.confirm(first.found)
	return second.report(began), nil
}

// auditor has the connections of one Verify.
type auditor struct {
	cfg   Config
	db    *database
	gates *gates
	log   *journal
	said  time.Time
}

func (a *auditor) open(ctx context.Context) (err error) {
	if a.db, err = openDatabase(ctx, a.cfg.DSN); err != nil {
		return blind(Database, err)
	}
	if a.gates, err = openGates(ctx, a.cfg.Redis); err != nil {
		return blind(Gates, err)
	}
	if a.log, err = openLog(a.cfg.Kafka); err != nil {
		return blind(Log, err)
	}
	return nil
}

func (a *auditor) close() error {
	var errs []error
	if a.log != nil {
		errs = append(errs, a.log.close())
	}
	if a.gates != nil {
		errs = append(errs, a.gates.close())
	}
	if a.db != nil {
		errs = append(errs, a.db.db.Close())
	}
	return errors.Join(errs...)
}

func (a *auditor) say(format string, args ...any) {
	a.said = time.Now()
	a.cfg.Progress(fmt.Sprintf(format, args...))
}

// sometimes says it if nothing was said for a while.
func (a *auditor) sometimes(format string, args ...any) {
	if time.Since(a.said) >= sayEvery {
		a.say(format, args...)
	}
}

// pass is one reading of the three books.
type pass struct {
	*auditor
	before *findings // of the pass before; nil: this is the first
	found  *findings
	looked LookedAt
	notes  []string

	tx        *sql.Tx
	catalog   *catalog
	starts    map[int32]int64
	committed map[int32]int64 // below it every record has its row or failed event in the snapshot
	logBegins int64           // rows accepted before have records that the log may have dropped, in us; 0: it is whole
	claims    *spill          // by user
	numbers   *spill          // by coupon and seq
	scans     int64           // readings of gates
}

func (a *auditor) pass(ctx context.Context, before *findings) (p *pass, err error) {
	p = &pass{auditor: a, before: before, found: newFindings(a.cfg.Keep)}
	p.said = time.Now()
	defer func() { err = errors.Join(err, p.end()) }()
	// The order is what makes each comparison hold while all three books are written: what one book has when it is read
	// must be in the book that is read after it.
	for _, step := range []struct {
		book Book
		run  func(context.Context) error
	}{
		{Log, p.consumers},    // what the consumers have committed is in the database,
		{Database, p.rows},    // whose rows have holders in every sound gate that is read later,
		{Gates, p.holders},    // whose settled holders have records
		{Log, p.records},      // below ends that are noted now. Rows have them too
		{Database, p.overdue}, // in the same snapshot
	} {
		if err := step.run(ctx); err != nil {
			return p, blind(step.book, err)
		}
	}
	return p, p.compare(ctx)
}

func (p *pass) end() error {
	var errs []error
	if p.tx != nil {
		errs = append(errs, p.tx.Rollback()) // it only read
	}
	for _, s := range []*spill{p.claims, p.numbers} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

func (p *pass) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// again says whether the pass before found the same.
func (p *pass) again(f Finding) bool { return p.before != nil && p.before.seen[f.key()] }

// rows puts all rows aside, out of one snapshot.
func (p *pass) rows(ctx context.Context) (err error) {
	if p.tx, err = p.db.snapshot(ctx); err != nil {
		return err
	}
	if p.catalog, err = p.db.readCatalog(ctx, p.tx, p.cfg.Coupon); err != nil {
		return err
	}
	var issued, records int64
	for _, c := range p.catalog.coupons {
		issued += max(c.issued, 0)
	}
	for partition, end := range p.committed {
		records += end - p.starts[partition]
	}
	if p.claims, err = newSpill(p.cfg.Dir, 2*issued+max(records, 0)); err != nil {
		return err
	}
	if p.numbers, err = newSpill(p.cfg.Dir, 2*issued); err != nil {
		return err
	}
	p.looked.Rows, err = walkRows(ctx, p.tx, func(e *entry) error {
		c := p.catalog.coupons[e.coupon]
		if c == nil {
			if p.catalog.only == "" {
				p.found.add(Finding{Type: GhostRow, Subject: Subject{Coupon: e.coupon, User: e.user, Nth: e.nth},
					Evidence: fmt.Sprintf("a row of coupon %d, which does not exist", e.coupon), Repair: person})
			}
			return nil
		}
		c.rows++
		if e.is(flagGone) {
			c.revoked++
		}
		if c.rows%rowPage == 0 {
			p.sometimes("reading rows: %d of about %d", c.rows, issued)
		}
		return p.put(c, e)
	})
	if err != nil {
		return err
	}
	p.counters()
	return nil
}

// put sets aside an entry of a row or holder of a coupon that is looked at.
func (p *pass) put(c *couponInfo, e *entry) error {
	if !p.catalog.watches(c.tag.name) {
		return nil
	}
	if err := p.numbers.add(hashOf("", e.coupon*31+e.seq), e); err != nil {
		return err
	}
	return p.claims.add(hashOf(e.user, 0), e)
}

// counters compares what the snapshot says of each coupon with its rows.
func (p *pass) counters() {
	for _, t := range p.catalog.order {
		if !p.catalog.watches(t.name) {
			continue
		}
		for _, c := range t.coupons {
			subject := Subject{Coupon: c.id, Tag: t.name}
			if c.terms.total.Valid && c.rows-c.revoked > c.terms.total.Int64 {
				p.found.add(Finding{Type: OverIssued, Subject: subject, Evidence: fmt.Sprintf(
					"%d rows of table issues, %d of them revoked, and total_quantity %d", c.rows, c.revoked, c.terms.total.Int64)})
			}
			if c.issued != c.rows && c.issued != c.rows-c.revoked {
				p.found.add(Finding{Type: CounterDrift, Subject: subject, Evidence: fmt.Sprintf(
					"issued_count %d and %d rows of table issues, read in one snapshot", c.issued, c.rows)})
			}
		}
	}
}

// wait pauses, or says that the caller's time is over.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
