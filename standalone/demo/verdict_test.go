package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/firstcome/firstcome/standalone/demo/crowd"
)

func TestAVerdictReadsWell(t *testing.T) {
	t.Parallel()
	s := newStorm(nil, crowd.Crowd{}, nil, nil, nil)
	s.answers = map[string]int{"202 accepted": 12345, "409 sold_out": 7}
	for i := range 1000 {
		_ = s.latency.RecordValue(int64(i) * 100) // within its bounds
	}
	v := judge(s, books{}, 2*time.Second)
	var out strings.Builder
	v.print(&out, false)
	for _, part := range []string{"202 accepted", "12,345", "12,352", "6,176", "in Kafka", "p99", "verdict: ok"} {
		assert.Contains(t, out.String(), part)
	}
}

func TestNumbersAreGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123456: "-123,456"} {
		assert.Equal(t, want, grouped(n))
	}
}

func TestRefusalsThatDoNotFitAreNoticed(t *testing.T) {
	t.Parallel()
	all := crowd.Crowd{Coupons: []crowd.Coupon{
		{Window: crowd.Open, Event: -1, PerUserLimit: 1}, {Window: crowd.Unopened, Event: -1}, {Window: crowd.Closed, Event: -1},
		{Window: crowd.Open, Event: 0, PerUserLimit: 1}, {Window: crowd.Open, Event: -1, PerUserLimit: 3},
	}}
	for _, c := range []struct {
		coupon int
		code   string
		fits   bool
	}{
		{crowd.Unknown, "coupon_not_found", true},
		{crowd.Unknown, "sold_out", false},
		{0, "sold_out", true},
		{0, "closed", false},
		{0, "user_limit", false},
		{0, "event_limit", false},
		{1, "not_open", true},
		{1, "sold_out", false},
		{2, "closed", true},
		{3, "event_limit", true},
		{4, "user_limit", true},
		{4, "rate_limited", false},
	} {
		s := newStorm(nil, all, nil, nil, nil)
		s.refused(c.code, 9, crowd.Ask{Coupon: c.coupon}, "alice")
		assert.Equal(t, c.fits, len(s.wrong) == 0, "%+v", c)
	}
}
