package fakebook

import (
	"github.com/firstcome/firstcome/core/coupon"
)

// Tx is a consumer's transaction for one record: gates locked and barriers read, nothing written yet.
type Tx struct {
	book      *Book
	unlock    func()
	partition int32
	offset    int64
	place     coupon.Place
	tag       string
	barriers  coupon.Barriers
	epoch     int64
}

// Begin is the first half of a consumer's transaction (rule 11). Until Commit nobody gets the gate's row exclusively.
func (b *Book) Begin(partition int32, offset int64, p coupon.Place) *Tx {
	b.mu.Lock()
	c := b.coupons[p.CouponID]
	b.mu.Unlock()
	tx := &Tx{book: b, unlock: func() {}, partition: partition, offset: offset, place: p}
	if c == nil {
		return tx
	}
	tx.tag = c.Tag()
	tx.unlock = b.lockGates([]string{tx.tag})
	b.mu.Lock()
	defer b.mu.Unlock()
	tx.epoch = b.gates[tx.tag].epoch
	tx.barriers = coupon.Barriers{tx.tag: append([]coupon.Barrier(nil), b.barriers[tx.tag]...)}
	return tx
}

// Commit is the rest of it (rules 12 to 14).
func (t *Tx) Commit() {
	defer t.unlock()
	b := t.book
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.coupons[t.place.CouponID]
	fail := func(reason coupon.FailReason) {
		for _, f := range b.failed {
			if f.Partition == t.partition && f.Offset == t.offset {
				return
			}
		}
		b.failed = append(b.failed, Failed{t.partition, t.offset, t.place, reason})
	}
	if c == nil {
		fail(coupon.FailUnknownCoupon)
		return
	}
	key := rowKey{c.ID, t.place.UserID, t.place.Nth}
	member := memberKey{c.EventID, t.place.UserID}
	_, taken := b.rows[key]
	switch {
	case taken:
	case t.place.Epoch > t.epoch:
		fail(coupon.FailFutureEpoch)
	case t.barriers.Overtaken(t.tag, t.place.Epoch, t.epoch, t.partition, t.offset):
		fail(coupon.FailStaleEpoch)
	case c.CountsForEvent() && b.members[member] != 0:
		fail(coupon.FailEventLimit)
	case c.Total != nil && c.IssuedCount >= *c.Total:
		fail(coupon.FailOverCap)
	default:
		b.rows[key] = t.place
		c.IssuedCount++
		if c.CountsForEvent() {
			b.members[member] = c.ID
		}
	}
}

// Write is a whole transaction for one record.
func (b *Book) Write(partition int32, offset int64, p coupon.Place) {
	b.Begin(partition, offset, p).Commit()
}

// Writer writes the record at an offset like a consumer.
type Writer interface {
	Write(partition int32, offset int64, p coupon.Place)
}

// Consume writes the record at an offset; false when there is none.
func Consume(w Writer, l *Log, partition int32, offset int64) bool {
	p, ok := l.At(partition, offset)
	if ok {
		w.Write(partition, offset, p)
	}
	return ok
}

// ConsumeAll writes what is not committed yet, and commits.
func ConsumeAll(w Writer, l *Log) {
	for n := range l.parts {
		partition := int32(n)
		l.mu.Lock()
		offset := l.committed[partition]
		l.mu.Unlock()
		for Consume(w, l, partition, offset) {
			offset++
		}
		l.Commit(partition, offset)
	}
}
