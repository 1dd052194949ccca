package audit

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// terms are what an admin may change.
type terms struct {
	total  sql.NullInt64 // NULL: unlimited
	state  string
	opens  int64
	closes int64
}

// window is a time in which a coupon could be claimed: from the first instant to the first one after it.
type window struct{ opens, closes int64 }

// couponInfo is a coupon, and what is counted of it while the books are read.
type couponInfo struct {
	id       int64
	tag      *tagInfo
	event    int64 // 0: of no event, or it does not use up the user's place there
	inEvent  bool
	limit    int // places a user may have
	issued   int64
	revision int64
	applied  int64
	terms    terms
	windows  []window

	rows      int64
	revoked   int64
	displaced []entry // records without a row that were refused as over the cap
	strangers []entry // rows whose user the sound gate does not hold
}

// member says whether taking it uses up the user's place in the event.
func (c *couponInfo) member() bool { return c.event != 0 }

func (c *couponInfo) inWindow(at int64) bool {
	return slices.ContainsFunc(c.windows, func(w window) bool { return at >= w.opens && at < w.closes })
}

func (c *couponInfo) windowText() string {
	parts := make([]string, len(c.windows))
	for i, w := range c.windows {
		parts[i] = text(w.opens) + " to " + text(w.closes)
	}
	return strings.Join(parts, " or ")
}

// tagInfo is what decides together: one coupon, or the coupons of an event.
type tagInfo struct {
	name    string
	event   bool
	epoch   int64 // in the snapshot
	live    bool
	coupons []*couponInfo
	// barriers by ascending epoch; ends are the least of this barrier's and all later ones', by partition.
	barriers []barrier

	scan int64 // the reading of its gate that counts; 0: none, the gate is not sound
	at   int64 // the epoch of its gate then
	more bool  // the event has coupons that are not among these: published since the snapshot
}

type barrier struct {
	epoch int64
	ends  []int64
}

// overtaken says whether some barrier of a greater epoch was noted at or below the record's offset. A partition that a
// barrier does not name was noted at 0.
func (t *tagInfo) overtaken(epoch int64, partition int32, offset int64) bool {
	for _, b := range t.barriers {
		if b.epoch > epoch {
			return int(partition) >= len(b.ends) || offset >= b.ends[partition]
		}
	}
	return false
}

// catalog is what the database says about coupons, gates and barriers.
type catalog struct {
	now     int64 // the database's clock
	coupons map[int64]*couponInfo
	tags    map[string]*tagInfo
	order   []*tagInfo
	only    string // the tag that is looked at; "": all
}

func (c *catalog) watches(tag string) bool { return c.only == "" || c.only == tag }

// readCatalog reads it in the snapshot.
func (d *database) readCatalog(ctx context.Context, tx *sql.Tx, only int64) (*catalog, error) {
	c := &catalog{coupons: map[int64]*couponInfo{}, tags: map[string]*tagInfo{}}
	var err error
	if c.now, err = d.now(ctx, tx); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context, *sql.Tx) error{c.readCoupons, c.readGates, c.readBarriers, c.readWindows} {
		if err = step(ctx, tx); err != nil {
			return nil, err
		}
	}
	if only != 0 {
		if c.coupons[only] == nil {
			return nil, &NoCouponError{Coupon: only}
		}
		c.only = c.coupons[only].tag.name
	}
	return c, nil
}

func (c *catalog) readCoupons(ctx context.Context, tx *sql.Tx) error {
	_, err := each(ctx, tx, func(r *sql.Rows) error {
		var i couponInfo
		var event sql.NullInt64
		var tag, kind string
		var opens, closes instant
		err := r.Scan(&i.id, &event, &tag, &kind, &i.terms.total, &i.issued, &i.limit, &i.terms.state, &opens, &closes,
			&i.revision, &i.applied)
		if err != nil {
			return err
		}
		i.terms.opens, i.terms.closes = opens.us, closes.us
		i.windows = []window{{opens.us, closes.us}}
		i.inEvent = event.Valid && event.Int64 != 0
		if i.inEvent && kind == "first_come_issue" {
			i.event = event.Int64
		}
		i.tag = c.tagOf(tag)
		i.tag.event = i.tag.event || i.inEvent
		i.tag.coupons = append(i.tag.coupons, &i)
		c.coupons[i.id] = &i
		return nil
	}, `SELECT id, event_id, tag, kind, total_quantity, issued_count, per_user_limit, state, opens_at, closes_at,
		revision, applied_revision FROM coupons ORDER BY tag, id`)
	return err
}

func (c *catalog) tagOf(name string) *tagInfo {
	t := c.tags[name]
	if t == nil {
		t = &tagInfo{name: name}
		c.tags[name] = t
		c.order = append(c.order, t)
	}
	return t
}

func (c *catalog) readGates(ctx context.Context, tx *sql.Tx) error {
	_, err := each(ctx, tx, func(r *sql.Rows) error {
		var tag, state string
		var epoch int64
		if err := r.Scan(&tag, &epoch, &state); err != nil {
			return err
		}
		t := c.tagOf(tag)
		t.epoch, t.live = epoch, state == "live"
		t.event = t.event || strings.HasPrefix(tag, "e")
		return nil
	}, "SELECT tag, epoch, state FROM gates ORDER BY tag")
	return err
}

func (c *catalog) readBarriers(ctx context.Context, tx *sql.Tx) error {
	_, err := each(ctx, tx, func(r *sql.Rows) error {
		var tag string
		var epoch, end int64
		var partition int32
		if err := r.Scan(&tag, &epoch, &partition, &end); err != nil {
			return err
		}
		if partition < 0 || partition > 1<<20 {
			return fmt.Errorf("a barrier of tag %s names partition %d", tag, partition)
		}
		t := c.tagOf(tag)
		if n := len(t.barriers); n == 0 || t.barriers[n-1].epoch != epoch {
			t.barriers = append(t.barriers, barrier{epoch: epoch})
		}
		b := &t.barriers[len(t.barriers)-1]
		for len(b.ends) <= int(partition) {
			b.ends = append(b.ends, 0)
		}
		b.ends[partition] = end
		return nil
	}, "SELECT tag, epoch, partition_no, noted_end FROM gate_barriers ORDER BY tag, epoch, partition_no")
	for _, t := range c.order {
		for i := len(t.barriers) - 2; i >= 0; i-- {
			t.barriers[i].lower(t.barriers[i+1])
		}
	}
	return err
}

// lower takes the smaller end of both for each partition; one that later does not name has the end 0.
func (b *barrier) lower(later barrier) {
	b.ends = b.ends[:min(len(b.ends), len(later.ends))]
	for i := range b.ends {
		b.ends[i] = min(b.ends[i], later.ends[i])
	}
}

// readWindows adds the windows that changes brought and took away.
func (c *catalog) readWindows(ctx context.Context, tx *sql.Tx) error {
	_, err := each(ctx, tx, func(r *sql.Rows) error {
		var id int64
		var from, until, to, end instant
		if err := r.Scan(&id, &from, &until, &to, &end); err != nil {
			return err
		}
		if i := c.coupons[id]; i != nil {
			i.windows = append(i.windows, window{from.us, until.us}, window{to.us, end.us})
		}
		return nil
	}, "SELECT DISTINCT coupon_id, from_opens_at, from_closes_at, to_opens_at, to_closes_at FROM coupon_changes")
	return err
}
