package ledger

import (
	"github.com/firstcome/firstcome/core/coupon"
)

// Record is one record of the journal as the writer takes it.
type Record struct {
	Partition int32
	Offset    int64
	Key       []byte // of the record; kept with a failed event, cut to 256 bytes
	Payload   []byte // the record's value; kept with a failed event, cut to coupon.MaxPayloadKept
	Place     coupon.Place
	Attempts  int               // of earlier failed events of the same claim
	Broken    error             // why it could not be decoded; Place is empty then
	Reason    coupon.FailReason // with Broken
}

// booking is what the writer has to know of a coupon; it never changes.
type booking struct {
	coupon coupon.Coupon
	tag    string
	event  int64 // 0: taking it does not use up the user's place in an event
}

func bookingOf(c coupon.Coupon) booking {
	b := booking{coupon: c, tag: c.Tag()}
	if c.CountsForEvent() {
		b.event = c.EventID
	}
	return b
}

// row is the issue row of a place.
func (b booking) row(p coupon.Place, now stamp) issueRow {
	row := issueRow{
		CouponID: p.CouponID, UserID: p.UserID, Nth: p.Nth, Seq: p.Seq, Epoch: p.Epoch, Status: string(coupon.StatusIssued),
		EventID: nullable(b.event), AcceptedAt: at(p.AcceptedAt), IssuedAt: now, ExpiresAt: at(b.coupon.ExpiresAt(p.AcceptedAt)),
	}
	if b.coupon.PerUserLimit > 1 {
		row.IdempotencyKey = nullable(p.Key)
	}
	return row
}

// failure is a record that becomes a failed event.
type failure struct {
	record *Record
	reason coupon.FailReason
	text   string // for people
}

func (f failure) row(topic string, now stamp) failedRow {
	r := f.record
	row := failedRow{
		Topic: topic, PartitionNo: r.Partition, OffsetNo: r.Offset, RecordKey: cutBytes(r.Key, maxRecordKey),
		Payload: cutBytes(r.Payload, coupon.MaxPayloadKept), Reason: string(f.reason), Error: cutText(f.text, maxErrorText),
		Attempts: r.Attempts, NextAttemptAt: at(now.Add(retryAfter(r.Attempts))), Status: string(coupon.FailedWaiting),
		CreatedAt: now, UpdatedAt: now,
	}
	if id := r.Place.CouponID; r.Broken == nil && id >= 1 && id <= coupon.MaxID {
		row.CouponID = &id
	}
	if user := r.Place.UserID; r.Broken == nil && coupon.ValidUserID(user) {
		row.UserID = &user
	}
	return row
}
