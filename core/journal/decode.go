package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// ErrUndecodable is a record that names no place: not JSON, too long, a field missing, twice or out of its bounds.
var ErrUndecodable = errors.New("undecodable record")

// ErrUnknownVersion is a record of a version that this build does not know. It may well be good.
var ErrUnknownVersion = errors.New("record of an unknown version")

// rfc3339 is what time.Parse is too lenient about: it also takes a comma, one digit of an hour and nanoseconds.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$`)

// Reason is the failed event's reason for an error of Decode.
func Reason(err error) coupon.FailReason {
	if errors.Is(err, ErrUnknownVersion) {
		return coupon.FailUnknownVersion
	}
	return coupon.FailUndecodable
}

// Decode reads one record. The error matches ErrUnknownVersion or ErrUndecodable and says what is wrong without
// repeating the record. Field names are taken byte for byte, each at most once; fields it does not know are ignored.
func Decode(record []byte) (coupon.Place, error) {
	p, err := decode(record)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, ErrUnknownVersion):
		return coupon.Place{}, err
	default:
		return coupon.Place{}, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
}

func decode(record []byte) (coupon.Place, error) {
	switch {
	case len(record) > MaxRecord:
		return coupon.Place{}, fmt.Errorf("%d bytes are more than %d", len(record), MaxRecord)
	case !json.Valid(record):
		return coupon.Place{}, errors.New("not one JSON value")
	}
	f, err := split(record)
	if err != nil {
		return coupon.Place{}, err
	}
	// The version comes first: another one may mean something else by every other field.
	v, err := f.number(fieldV)
	if err != nil {
		return coupon.Place{}, err
	}
	if v != Version {
		return coupon.Place{}, fmt.Errorf("%w: %d", ErrUnknownVersion, v)
	}
	p, err := f.place()
	if err == nil {
		err = Check(p)
	}
	return p, err
}

func (f *fields) place() (coupon.Place, error) {
	var errs [7]error
	var p coupon.Place
	var nth int64
	p.CouponID, errs[0] = f.number(fieldCouponID)
	p.UserID, errs[1] = f.text(fieldUserID)
	nth, errs[2] = f.number(fieldNth)
	p.Seq, errs[3] = f.number(fieldSeq)
	p.Epoch, errs[4] = f.number(fieldEpoch)
	p.AcceptedAt, errs[5] = f.time(fieldAcceptedAt)
	if f[fieldKey] != nil {
		if p.Key, errs[6] = f.text(fieldKey); errs[6] == nil && p.Key == "" {
			errs[6] = fieldErr(fieldKey.String(), "must not be empty")
		}
	}
	// Bounded before it becomes an int, which has 32 bits on some machines.
	p.Nth = int(min(max(nth, 0), coupon.MaxPerUserLimit+1))
	return p, errors.Join(errs[:]...)
}

// number reads digits with an optional minus; 57.0 and 5.7e1 are no whole numbers here.
func (f *fields) number(which field) (int64, error) {
	raw := f[which]
	if raw == nil {
		return 0, fieldErr(which.String(), "is missing")
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return 0, fieldErr(which.String(), "must be a whole number of 64 bits")
	}
	return n, nil
}

func (f *fields) text(which field) (string, error) {
	raw := f[which]
	switch {
	case raw == nil:
		return "", fieldErr(which.String(), "is missing")
	case raw[0] != '"':
		return "", fieldErr(which.String(), "must be a string")
	}
	return unquote(raw)
}

func (f *fields) time(which field) (time.Time, error) {
	s, err := f.text(which)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !rfc3339.MatchString(s) {
		return time.Time{}, fieldErr(which.String(), "must be an RFC 3339 time, not finer than a microsecond")
	}
	return t.UTC(), nil
}

// unquote reads a JSON string that is known to be valid.
func unquote(raw []byte) (string, error) {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}
