package judge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/check"
)

// Finding is a broken invariant with its evidence.
type Finding struct {
	Rule     string // I1 to I6, or what kept the system from coming to rest
	Evidence string
}

// maxKept bounds the evidence kept for each rule; all are counted.
const maxKept = 20

// Result is what the books say.
type Result struct {
	Findings []Finding
	Count    map[string]int
	Coupons  int
	Rows     int
	Records  int
	Failed   map[string]int // failed events by reason
}

func (r *Result) found(rule, format string, args ...any) {
	r.Count[rule]++
	if r.Count[rule] <= maxKept {
		r.Findings = append(r.Findings, Finding{rule, fmt.Sprintf(format, args...)})
	}
}

// Rest waits until all is quiet: no record is left to the consumers, no place is pending, every gate is open and has
// admitted as many as there are rows. It returns why not when ctx ends before.
func (s Servers) Rest(ctx context.Context) error {
	quiet := 0
	for {
		err := s.noise(ctx)
		if err == nil {
			quiet++
		} else {
			quiet = 0
		}
		if quiet == 3 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not come to rest: %w", err)
		case <-time.After(400 * time.Millisecond):
		}
	}
}

// noise is what is still going on.
func (s Servers) noise(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	lag, err := s.lag(ctx)
	if err != nil {
		return fmt.Errorf("ask for the lag: %w", err)
	}
	if lag > 0 {
		return fmt.Errorf("%d records wait for the consumers", lag)
	}
	all, err := s.readCoupons(ctx)
	if err != nil {
		return err
	}
	loud, first := 0, ""
	for _, c := range all {
		g, err := s.readGate(ctx, c)
		if err != nil {
			return err
		}
		if g.state != "open" || g.pending != 0 || g.pendingN != 0 || g.admitted != c.issued {
			loud++
			first = fmt.Sprintf("coupon %d (%s): gate %q, %d admitted and %d issued, %d pending (counted %d)",
				c.id, c.tag, g.state, g.admitted, c.issued, g.pending, g.pendingN)
		}
	}
	if loud > 0 {
		return fmt.Errorf("%d coupons are not at rest, such as %s", loud, first)
	}
	return nil
}

// Judge compares the promises with the books.
func (s Servers) Judge(ctx context.Context, promises []check.Promise) (*Result, error) {
	r := newResult()
	var b books
	var err error
	if b.coupons, err = s.readCoupons(ctx); err != nil {
		return nil, err
	}
	if err = s.readRows(ctx, b.coupons, r.found); err != nil {
		return nil, err
	}
	for _, c := range b.coupons {
		if c.gate, err = s.readGate(ctx, c); err != nil {
			return nil, err
		}
	}
	if b.failed, err = s.readFailed(ctx); err != nil {
		return nil, err
	}
	if b.records, err = s.readJournal(ctx); err != nil {
		return nil, err
	}
	r.compare(b, promises)
	return r, nil
}

func newResult() *Result { return &Result{Count: map[string]int{}, Failed: map[string]int{}} }

// compare holds the books and the promises against each other.
func (r *Result) compare(b books, promises []check.Promise) {
	r.Coupons, r.Records = len(b.coupons), len(b.records)
	for _, reason := range b.failed {
		r.Failed[reason]++
	}
	for _, c := range b.coupons {
		r.Rows += len(c.rows)
		r.rows(c)
		r.gate(c)
	}
	r.events(b)
	r.promises(b, promises)
	r.journal(b)
}

// rows: I1, I2 and the numbers of one coupon.
func (r *Result) rows(c *coupon) {
	if n := int64(len(c.rows)); c.total >= 0 && n > c.total {
		r.found("I1", "coupon %d has %d rows of %d places", c.id, n, c.total)
	}
	if n := int64(len(c.rows)); n != c.issued {
		r.found("I1", "coupon %d has %d rows and counts %d", c.id, n, c.issued)
	}
	seqs, of := map[int64]place{}, map[string]int{}
	for p, got := range c.rows {
		if other, taken := seqs[got.seq]; taken {
			r.found("I6", "coupon %d: number %d is %q's and %q's", c.id, got.seq, other.user, p.user)
		}
		seqs[got.seq] = p
		if of[p.user]++; of[p.user] > c.limit {
			r.found("I2", "coupon %d: user %q has %d rows of at most %d", c.id, p.user, of[p.user], c.limit)
		}
	}
}

// gate: I5.
func (r *Result) gate(c *coupon) {
	g := c.gate
	switch {
	case g.state != "open":
		r.found("I5", "coupon %d: the gate %s is %q", c.id, c.tag, g.state)
		return
	case g.brokenOne != "":
		r.found("I5", "coupon %d: a holder cannot be read: %s", c.id, g.brokenOne)
	case g.admitted != int64(len(c.rows)), g.returned != 0, int64(len(g.holders)) != g.admitted+g.returned:
		r.found("I5", "coupon %d: admitted %d, returned %d, holders %d, rows %d", c.id, g.admitted, g.returned, len(g.holders), len(c.rows))
	case g.pending != 0 || g.pendingN != 0:
		r.found("I5", "coupon %d: %d places are pending, counted %d", c.id, g.pending, g.pendingN)
	case c.total >= 0 && g.admitted > c.total:
		r.found("I1", "coupon %d: %d admitted of %d places", c.id, g.admitted, c.total)
	}
	for p, h := range g.holders {
		got, has := c.rows[p]
		switch {
		case !has:
			r.found("I5", "coupon %d: %q holds place %d, number %d, and has no row", c.id, p.user, p.nth, h.seq)
		case got.seq != h.seq || got.key != h.key || got.accepted.UnixMicro() != h.accepted:
			r.found("I6", "coupon %d, %q, place %d: the gate says number %d, key %q, accepted %d µs; the row %d, %q, %d µs",
				c.id, p.user, p.nth, h.seq, h.key, h.accepted, got.seq, got.key, got.accepted.UnixMicro())
		}
	}
}

// events: I2 over the coupons of an event, and its members at the gate.
func (r *Result) events(b books) {
	type member struct {
		event int64
		user  string
	}
	has := map[member]int64{}
	gates := map[int64]gate{}
	for _, c := range b.coupons {
		if c.event == 0 {
			continue
		}
		gates[c.event] = c.gate
		for p := range c.rows {
			m := member{c.event, p.user}
			if other, twice := has[m]; twice {
				r.found("I2", "event %d: user %q has coupons %d and %d", c.event, p.user, other, c.id)
			}
			has[m] = c.id
		}
	}
	count := map[int64]int64{}
	for m, id := range has {
		count[m.event]++
		if g := gates[m.event]; g.state == "open" && !slices.Contains(g.members, m.user) {
			r.found("I5", "event %d: user %q has coupon %d, and is no member at the gate", m.event, m.user, id)
		}
	}
	for event, g := range gates {
		if g.state == "open" && (g.membersN != count[event] || int64(len(g.members)) != count[event]) {
			r.found("I5", "event %d: %d members, counted %d, and %d rows", event, len(g.members), g.membersN, count[event])
		}
	}
}

// promises: I3 and I6.
func (r *Result) promises(b books, promises []check.Promise) {
	for _, p := range promises {
		c := b.coupons[p.Coupon]
		if c == nil {
			r.found("I3", "coupon %d is gone; user %q was promised number %d", p.Coupon, p.User, p.Seq)
			continue
		}
		got, has := c.rows[place{p.User, p.Nth}]
		key := p.Key
		if c.limit == 1 {
			key = ""
		}
		switch {
		case !has:
			r.found("I3", "coupon %d: user %q was promised place %d, number %d, accepted %s, and has no row",
				p.Coupon, p.User, p.Nth, p.Seq, p.AcceptedAt.UTC().Format(time.RFC3339Nano))
		case got.seq != p.Seq || got.key != key || !got.accepted.Equal(p.AcceptedAt):
			r.found("I6", "coupon %d, user %q, place %d: promised number %d, key %q, accepted %s; the row says %d, %q, %s",
				p.Coupon, p.User, p.Nth, p.Seq, key, p.AcceptedAt.UTC().Format(time.RFC3339Nano), got.seq, got.key,
				got.accepted.UTC().Format(time.RFC3339Nano))
		}
	}
}

// journal: I4.
func (r *Result) journal(b books) {
	type line struct {
		coupon int64
		place  place
		seq    int64
	}
	in := map[line]bool{}
	for _, rec := range b.records {
		_, failed := b.failed[position{rec.partition, rec.offset}]
		if rec.bad != "" && !failed {
			r.found("I4", "partition %d, offset %d cannot be read and is no failed event: %s", rec.partition, rec.offset, rec.bad)
			continue
		}
		in[line{rec.coupon, rec.place, rec.seq}] = true
		c := b.coupons[rec.coupon]
		if failed || c != nil && hasRow(c, rec.place) {
			continue
		}
		r.found("I4", "partition %d, offset %d (coupon %d, user %q, place %d, number %d) is neither a row nor a failed event",
			rec.partition, rec.offset, rec.coupon, rec.place.user, rec.place.nth, rec.seq)
	}
	for _, c := range b.coupons {
		for p, got := range c.rows {
			if !in[line{c.id, p, got.seq}] {
				r.found("I4", "coupon %d, user %q, place %d, number %d: a row without a record", c.id, p.user, p.nth, got.seq)
			}
		}
	}
}

func hasRow(c *coupon, p place) bool {
	_, has := c.rows[p]
	return has
}
