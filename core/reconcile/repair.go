package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/firstcome/firstcome/core/coupon"
)

// Damage is what an auditor found that can be repaired, in the words of this package. What none of its fields names is a
// person's decision.
type Damage struct {
	Changes  bool             // changes were left half done
	Pending  bool             // places are pending for too long
	Overdue  bool             // failed events are due for too long
	Records  []JournalRecord  // records that consumers passed and that left no trace; each becomes what it should have
	Unlogged []coupon.Place   // rows that the journal does not have
	Promised []coupon.Place   // places that were promised and have no row
	Tags     []string         // gates that are not what rows and journal say
	Counters []int64          // coupons whose counter is not the number of their rows
	Keep     map[string]error // tags whose gates must not be rebuilt, and why: they are evidence
}

// JournalRecord is a record and where it stands.
type JournalRecord struct {
	Partition  int32
	Offset     int64
	Key, Value []byte
}

// Tools are the product's own ways to put things right. Each is safe to run twice, and by two at once.
type Tools struct {
	Finish  func(ctx context.Context) (ended int, err error)                  // changes left half done
	Sweep   func(ctx context.Context) (seen, settled int, err error)          // pending places: journal, then confirm
	Judge   func(ctx context.Context, r JournalRecord) error                  // what a consumer does with a record
	Append  func(ctx context.Context, p coupon.Place) error                   // to the journal
	Replay  func(ctx context.Context, p coupon.Place) (coupon.Verdict, error) // an ordinary claim through the gate
	Rebuild func(ctx context.Context, tags []string) (Report, error)
	Recount func(ctx context.Context, couponID int64) (was, is int64, err error)
	Retry   func(ctx context.Context) (RetryReport, error)
	// Fence prolongs the lease; an error ends the repair: another one is at it.
	Fence func(ctx context.Context) error
}

// Repair is one line of what was done, or could not be.
type Repair struct {
	What string
	Err  error
}

func (r Repair) String() string {
	if r.Err != nil {
		return fmt.Sprintf("%s: NOT DONE: %v", r.What, r.Err)
	}
	return r.What
}

// Mend repairs damage in the order in which one repair does not spoil another: changes first, since a rebuild reads the
// terms; then what is missing in the journal, since a rebuild drops holders that neither rows nor journal have; then the
// gates; then counters. The error is one that ended the work; what single repairs came to is in the list.
func Mend(ctx context.Context, t Tools, d Damage) ([]Repair, error) {
	m := &mending{ctx: ctx, tools: t}
	for _, step := range []func(Damage) error{m.changes, m.records, m.pending, m.unlogged, m.promised, m.gates, m.counters, m.overdue} {
		if err := t.Fence(ctx); err != nil {
			return m.done, err
		}
		if err := step(d); err != nil {
			return m.done, err
		}
	}
	return m.done, ctx.Err()
}

type mending struct {
	ctx   context.Context //nolint:containedctx // it lives as long as one Mend
	tools Tools
	done  []Repair
}

func (m *mending) note(err error, format string, args ...any) {
	m.done = append(m.done, Repair{What: fmt.Sprintf(format, args...), Err: err})
}

func (m *mending) changes(d Damage) error {
	if d.Changes {
		n, err := m.tools.Finish(m.ctx)
		m.note(err, "changes: %d that were left half done were completed", n)
	}
	return nil
}

func (m *mending) records(d Damage) error {
	for _, r := range d.Records {
		m.note(m.tools.Judge(m.ctx, r), "record: partition %d offset %d was judged again", r.Partition, r.Offset)
	}
	return m.ctx.Err()
}

func (m *mending) pending(d Damage) error {
	if d.Pending {
		seen, settled, err := m.tools.Sweep(m.ctx)
		m.note(err, "pending: %d places were swept, %d are settled", seen, settled)
	}
	return m.ctx.Err()
}

// unlogged puts records of rows into the journal. To the consumers they are duplicates, whatever their epoch (rule 12).
func (m *mending) unlogged(d Damage) error {
	for _, p := range d.Unlogged {
		m.note(m.tools.Append(m.ctx, p), "journal: the row of coupon %d, user %s, nth %d has a record again", p.CouponID, p.UserID, p.Nth)
	}
	return m.ctx.Err()
}

// promised sends places through the gate as ordinary claims: a holder keeps his number and is journaled again; who is
// none gets a place if there is one.
func (m *mending) promised(d Damage) error {
	for _, p := range d.Promised {
		verdict, err := m.tools.Replay(m.ctx, p)
		if err == nil && !verdict.Place() {
			err = fmt.Errorf("the gate refuses: %v; a person decides", verdict)
		}
		m.note(err, "promise: coupon %d, user %s, nth %d was journaled through the gate", p.CouponID, p.UserID, p.Nth)
	}
	return m.ctx.Err()
}

func (m *mending) gates(d Damage) error {
	var tags []string
	for _, tag := range d.Tags {
		if why := d.Keep[tag]; why != nil {
			m.note(why, "gate %s: rebuild", tag)
			continue
		}
		tags = append(tags, tag)
	}
	if len(tags) == 0 {
		return nil
	}
	slices.Sort(tags)
	report, err := m.tools.Rebuild(m.ctx, slices.Compact(tags))
	for _, t := range report.Tags {
		failed := t.Err
		if failed == nil && t.Outcome != Opened {
			failed = errors.New(string(t.Outcome))
		}
		m.note(failed, "gate %s: rebuilt at epoch %d from %d rows and %d records", t.Tag, t.Epoch, t.Rows, t.Tail)
	}
	if err != nil && len(report.Tags) == 0 {
		m.note(err, "gates: rebuild of %d", len(tags))
	}
	return m.ctx.Err()
}

func (m *mending) counters(d Damage) error {
	for _, id := range d.Counters {
		was, is, err := m.tools.Recount(m.ctx, id)
		m.note(err, "counter: coupon %d was counted anew, %d instead of %d", id, is, was)
	}
	return m.ctx.Err()
}

func (m *mending) overdue(d Damage) error {
	if d.Overdue {
		report, err := m.tools.Retry(m.ctx)
		m.note(err, "failed events: %v", report)
	}
	return m.ctx.Err()
}
