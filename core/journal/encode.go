package journal

import (
	"strconv"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// Version is the only version of the wire format so far.
const Version = 1

// MaxRecord bounds a record in bytes. A record of this version has at most 288; the rest is room for fields of a newer
// one.
const MaxRecord = 4 << 10

// HeaderAttempts is the record header that says how often the same place became a failed event before, as a decimal
// number; missing is 0. It makes the count go on when a record that the batch sent again fails again.
const HeaderAttempts = "firstcome-attempts"

// timeForm always shows six digits, so that every record of a place has the same bytes.
const timeForm = "2006-01-02T15:04:05.000000Z"

// Encode appends the record of a place to dst. The place must be one that Check lets through: no text is escaped.
func Encode(dst []byte, p coupon.Place) []byte {
	dst = append(dst, `{"v":1,"coupon_id":`...)
	dst = strconv.AppendInt(dst, p.CouponID, 10)
	dst = append(dst, `,"user_id":"`...)
	dst = append(dst, p.UserID...)
	dst = append(dst, `","nth":`...)
	dst = strconv.AppendInt(dst, int64(p.Nth), 10)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendInt(dst, p.Seq, 10)
	dst = append(dst, `,"epoch":`...)
	dst = strconv.AppendInt(dst, p.Epoch, 10)
	dst = append(dst, `,"accepted_at":"`...)
	dst = p.AcceptedAt.UTC().AppendFormat(dst, timeForm)
	if p.Key != "" {
		dst = append(dst, `","key":"`...)
		dst = append(dst, p.Key...)
	}
	return append(dst, `"}`...)
}

// Check says whether a place can stand in the journal: every number in its bounds, user id and key in their form. The
// error is a coupon.FieldError.
func Check(p coupon.Place) error {
	switch {
	case p.CouponID < 1 || p.CouponID > coupon.MaxID:
		return fieldErr("coupon_id", "must be from 1 to 2^53-1")
	case !coupon.ValidUserID(p.UserID):
		return fieldErr("user_id", "must have 1 to 64 characters of [A-Za-z0-9._:@-]")
	case p.Nth < 1 || p.Nth > coupon.MaxPerUserLimit:
		return fieldErr("nth", "must be from 1 to 100")
	case p.Seq < 1 || p.Seq > coupon.MaxID: // a gate counts in doubles
		return fieldErr("seq", "must be from 1 to 2^53-1")
	case p.Epoch < 1 || p.Epoch > coupon.MaxID:
		return fieldErr("epoch", "must be from 1 to 2^53-1")
	case p.Key != "" && !coupon.ValidKey(p.Key):
		return fieldErr("key", "must have 1 to 64 characters of [A-Za-z0-9._:-]")
	}
	return checkTime(p.AcceptedAt)
}

func checkTime(t time.Time) error {
	if year := t.UTC().Year(); year < 2000 || year > 9999 {
		return fieldErr("accepted_at", "must be between the years 2000 and 9999")
	}
	return nil
}

func fieldErr(field, detail string) error { return &coupon.FieldError{Field: field, Detail: detail} }
