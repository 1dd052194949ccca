package reconcile

import (
	"context"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// tailChunk bounds the records of the journal that are in memory at once: about 3 MB.
const tailChunk = 10_000

// tail collects the records of the journal that become holders (rule 23) and hands them to the gates in chunks.
type tail struct {
	*pass
	chunk   map[int64][]coupon.Place // by coupon, in the order of the journal
	order   []int64                  // coupons of the chunk
	members map[memberKey]bool       // who has a record in this chunk
	size    int
	read    int64 // records seen
	odd     int64 // records that no gate can have given
}

type memberKey struct{ tag, user string }

// loadTail adds the users of records that the consumers have not written yet and that no barrier overtakes. It takes
// what the consumer will take and leaves what it will refuse, so that holders and rows agree when it has caught up.
func (p *pass) loadTail(ctx context.Context) error {
	from, to := p.unread()
	if len(from) == 0 {
		return nil
	}
	t := &tail{pass: p}
	t.empty()
	p.deps.Log.Info("rebuild: the journal's tail", "records", span(from, to), "partitions", len(from))
	err := p.deps.Journal.Read(ctx, from, to, func(partition int32, offset int64, place coupon.Place) error {
		t.read++
		p.progress("rebuild: the journal's tail", "read", t.read, "of_at_most", span(from, to))
		if !t.counts(partition, offset, place) {
			return nil
		}
		t.add(place)
		if t.size < tailChunk {
			return nil
		}
		return t.flush(ctx)
	})
	if t.odd > 0 {
		p.deps.Log.Warn("rebuild: records that no gate can have given are left out, as the consumers do", "records", t.odd)
	}
	if err != nil {
		return err
	}
	return t.flush(ctx)
}

// counts says whether a record will become a row, if its user has none.
func (t *tail) counts(partition int32, offset int64, place coupon.Place) bool {
	c := t.coupons[place.CouponID]
	if c == nil || t.live[c.tag.mark.Tag] == nil {
		return false
	}
	m := c.tag.mark
	keyless := c.PerUserLimit > 1 && place.Key == ""
	if place.Epoch > m.Epoch || place.Nth < 1 || place.Nth > c.PerUserLimit || keyless {
		t.odd++
		return false
	}
	return !t.barriers.Overtaken(m.Tag, place.Epoch, m.Epoch, partition, offset)
}

// add keeps a record for the next flush. The coupons of an event are flushed one after the other, so the first record
// of a member must be picked here; between flushes the gate does it.
func (t *tail) add(place coupon.Place) {
	c := t.coupons[place.CouponID]
	if c.ref.Member {
		key := memberKey{c.tag.mark.Tag, place.UserID}
		if t.members[key] {
			return
		}
		t.members[key] = true
	}
	if len(t.chunk[place.CouponID]) == 0 {
		t.order = append(t.order, place.CouponID)
	}
	t.chunk[place.CouponID] = append(t.chunk[place.CouponID], place)
	t.size++
}

func (t *tail) flush(ctx context.Context) error {
	defer t.empty()
	for _, id := range t.order {
		c, places := t.coupons[id], t.chunk[id]
		for len(places) > 0 && t.live[c.tag.mark.Tag] != nil {
			page := places[:min(PageRows, len(places))]
			places = places[len(page):]
			crashpoint.At("rebuild.tail-read")
			t.loads(c.tag)
			added, err := t.deps.Gates.LoadTail(ctx, c.tag.mark, c.ref, page)
			if err != nil { // asked again it would not count those that it has added now
				if err = t.lost(ctx, c.tag, "load the journal's tail", err); err != nil {
					return err
				}
				continue
			}
			t.gateErrs = 0
			c.holders += added
			c.tag.report.Tail += added
			for _, place := range page {
				c.lastSeq = max(c.lastSeq, place.Seq)
			}
		}
	}
	return nil
}

func (t *tail) empty() {
	t.chunk, t.members, t.order, t.size = map[int64][]coupon.Place{}, map[memberKey]bool{}, nil, 0
}

func span(from, to map[int32]int64) int64 {
	var n int64
	for partition, start := range from {
		n += to[partition] - start
	}
	return n
}
