package journal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/firstcome/firstcome/core/coupon"
)

const good = `{"v":1,"coupon_id":7,"user_id":"u-81","nth":1,"seq":57,"epoch":3,"accepted_at":"2026-11-20T12:00:00.000123Z"}`

// with changes the good record in one place.
func with(old, changed string) string {
	if !strings.Contains(good, old) {
		panic("the good record has no " + old)
	}
	return strings.Replace(good, old, changed, 1)
}

func TestRecordsThatNameNoPlaceAreRefused(t *testing.T) {
	t.Parallel()
	refused := map[string]string{
		"empty":                 "",
		"null":                  "null",
		"not JSON":              "hello",
		"binary":                "\x00\x01\xff",
		"an array":              "[" + good + "]",
		"a string":              `"` + "x" + `"`,
		"cut off":               good[:len(good)-1],
		"trailing bytes":        good + "{}",
		"trailing garbage":      good + "x",
		"an empty object":       "{}",
		"too long":              with(`"nth":1`, `"nth":1,"more":"`+strings.Repeat("x", MaxRecord)+`"`),
		"200 kB":                strings.Repeat("x", 200_000),
		"nested 20,000 deep":    strings.Repeat("[", 20_000),
		"version missing":       with(`"v":1,`, ``),
		"version as text":       with(`"v":1`, `"v":"1"`),
		"version null":          with(`"v":1`, `"v":null`),
		"version beyond 64 bit": with(`"v":1`, `"v":99999999999999999999`),
		"seq missing":           with(`"seq":57,`, ``),
		"seq twice":             with(`"seq":57`, `"seq":57,"seq":57`),
		"seq twice, escaped":    with(`"seq":57`, `"seq":57,"\u0073eq":58`),
		"seq in capitals":       with(`"seq"`, `"SEQ"`),
		"seq 0":                 with(`"seq":57`, `"seq":0`),
		"seq negative":          with(`"seq":57`, `"seq":-57`),
		"seq fractional":        with(`"seq":57`, `"seq":57.5`),
		"seq with exponent":     with(`"seq":57`, `"seq":5.7e1`),
		"seq as text":           with(`"seq":57`, `"seq":"57"`),
		"seq null":              with(`"seq":57`, `"seq":null`),
		"seq an object":         with(`"seq":57`, `"seq":{"seq":57}`),
		"seq beyond 2^53":       with(`"seq":57`, `"seq":9007199254740992`),
		"seq beyond 64 bit":     with(`"seq":57`, `"seq":18446744073709551673`),
		"coupon 0":              with(`"coupon_id":7`, `"coupon_id":0`),
		"coupon beyond 2^53":    with(`"coupon_id":7`, `"coupon_id":9007199254740992`),
		"epoch 0":               with(`"epoch":3`, `"epoch":0`),
		"epoch beyond 2^53":     with(`"epoch":3`, `"epoch":9007199254740992`),
		"nth 0":                 with(`"nth":1`, `"nth":0`),
		"nth 101":               with(`"nth":1`, `"nth":101`),
		"nth 1 + 2^32":          with(`"nth":1`, `"nth":4294967297`),
		"nth missing":           with(`"nth":1,`, ``),
		"user empty":            with(`u-81`, ``),
		"user too long":         with(`u-81`, strings.Repeat("u", 65)),
		"user with a blank":     with(`u-81`, `u 81`),
		"user with a slash":     with(`u-81`, `u/81`),
		"user with a newline":   with(`u-81`, `u-81\n`),
		"user with the unit":    with(`u-81`, `u\u001f2`),
		"user not ASCII":        with(`u-81`, `홍길동`),
		"user bad UTF-8":        with(`u-81`, "u\xff"),
		"user a number":         with(`"u-81"`, `81`),
		"key empty":             with(`"nth":1`, `"nth":1,"key":""`),
		"key null":              with(`"nth":1`, `"nth":1,"key":null`),
		"key with an @":         with(`"nth":1`, `"nth":1,"key":"a@b"`),
		"key too long":          with(`"nth":1`, `"nth":1,"key":"`+strings.Repeat("k", 65)+`"`),
		"time a number":         with(`"2026-11-20T12:00:00.000123Z"`, `1795174800`),
		"time empty":            with(`2026-11-20T12:00:00.000123Z`, ``),
		"time without a zone":   with(`000123Z`, `000123`),
		"time with a blank":     with(`20T12`, `20 12`),
		"time with one digit":   with(`T12:`, `T1:`),
		"time with a comma":     with(`00.000123Z`, `00,000123Z`),
		"time in nanoseconds":   with(`000123Z`, `000123001Z`),
		"February 30":           with(`11-20T`, `02-30T`),
		"hour 24":               with(`T12:`, `T24:`),
		"year 1999":             with(`2026-`, `1999-`),
		"year 1999 in UTC":      with(`2026-11-20T12:00:00.000123Z`, `2000-01-01T00:30:00+01:00`),
		"year 10000 in UTC":     with(`2026-11-20T12:00:00.000123Z`, `9999-12-31T23:30:00-01:00`),
	}
	for name, record := range refused {
		place, err := Decode([]byte(record))
		if !assert.ErrorIs(t, err, ErrUndecodable, name) {
			continue
		}
		assert.Equal(t, coupon.FailUndecodable, Reason(err), name)
		assert.Zero(t, place, name)
		assert.Less(t, len(err.Error()), 400, "the error does not repeat the record: %s", name)
	}
	_, err := Decode([]byte(good))
	assert.NoError(t, err, "what the others are changes of")
}

func TestAnotherVersionIsNotJudgedByItsOtherFields(t *testing.T) {
	t.Parallel()
	for _, record := range []string{`{"v":2}`, with(`"v":1`, `"v":2`), `{"seq":"x","v":0}`, `{"v":-1}`} {
		_, err := Decode([]byte(record))
		assert.ErrorIs(t, err, ErrUnknownVersion, record)
		assert.NotErrorIs(t, err, ErrUndecodable, record)
		assert.Equal(t, coupon.FailUnknownVersion, Reason(err))
	}
}

func TestWhiteSpaceAndUnknownFieldsDoNotMatter(t *testing.T) {
	t.Parallel()
	spread := strings.NewReplacer(",", " \t,\r\n ", ":", " : ", "{", " { ", "}", " } ").
		Replace(strings.Replace(good, "12:00:00.000123", "TIME", 1))
	for _, record := range []string{
		strings.Replace(spread, "TIME", "12:00:00.000123", 1),
		with(`"nth":1`, `"nth":1,"a":{"seq":1,"b":["}",{"x":"\"]"}]},"c":"\\","d":[],"e":{},"f":true,"g":-1.5e-3`),
		with(`"seq"`, `"\u0073eq"`),
		with(`u-81`, `\u0075-81`),
	} {
		place, err := Decode([]byte(record))
		assert.NoError(t, err, record)
		assert.Equal(t, golden()["limit_one.json"], place, record)
	}
}

func TestCheckNamesTheField(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*coupon.Place){
		"coupon_id":   func(p *coupon.Place) { p.CouponID = 0 },
		"user_id":     func(p *coupon.Place) { p.UserID = `a"b` },
		"nth":         func(p *coupon.Place) { p.Nth = 101 },
		"seq":         func(p *coupon.Place) { p.Seq = -1 },
		"epoch":       func(p *coupon.Place) { p.Epoch = coupon.MaxID + 1 },
		"accepted_at": func(p *coupon.Place) { p.AcceptedAt = time.Time{} },
		"key":         func(p *coupon.Place) { p.Key = `"` },
	} {
		place := golden()["with_key.json"]
		spoil(&place)
		var bad *coupon.FieldError
		if assert.True(t, errors.As(Check(place), &bad), field) {
			assert.Equal(t, field, bad.Field)
		}
	}
}
