package httpapi

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

func TestACouponIsShownAsItsGateSeesIt(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	stored := sale(7)
	stored.IssuedCount = 3 // behind: most is on its way
	a.coupons[7] = stored
	a.views[7] = coupon.ViewAnswer{View: coupon.View{Terms: stored.Terms, Taken: 100, Now: gateNow}}
	got := a.do(ask{method: http.MethodGet, path: "/v1/coupons/7"})
	require.Equal(t, http.StatusOK, got.status)
	assert.EqualValues(t, 0, got.doc["remaining"])
	assert.Equal(t, "sold_out", got.doc["state"])
	assert.Equal(t, "2026-11-20T12:00:00.000123Z", got.doc["server_time"])
}

func TestACouponWithoutASoundGateIsShownAsTheLedgerHasIt(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	stored := sale(7)
	stored.IssuedCount = 3
	a.coupons[7] = stored
	got := a.do(ask{method: http.MethodGet, path: "/v1/coupons/7"})
	require.Equal(t, http.StatusOK, got.status)
	assert.EqualValues(t, 97, got.doc["remaining"])
	assert.Equal(t, "open", got.doc["state"])
	assert.Equal(t, "2026-11-20T13:00:00.000123Z", got.doc["server_time"], "the host's clock")
	assert.Equal(t, []coupon.UnsoundError{{Tag: "c7", Why: coupon.WhyNoGate}}, a.unsound)

	a.views[7] = coupon.ViewAnswer{Err: errors.New("timeout")}
	got = a.do(ask{method: http.MethodGet, path: "/v1/coupons/7"})
	assert.EqualValues(t, 97, got.doc["remaining"])
	assert.Len(t, a.unsound, 1, "not known to be lost")
}

func TestStatesAndRemainingOfEveryKind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change    func(*coupon.Terms)
		taken     int64
		state     string
		remaining any
	}{
		"open":                         {func(*coupon.Terms) {}, 99, "open", 1.0},
		"sold out":                     {func(*coupon.Terms) {}, 100, "sold_out", 0.0},
		"more taken than a new total":  {func(*coupon.Terms) {}, 101, "sold_out", 0.0},
		"unlimited":                    {func(t *coupon.Terms) { t.Total = nil }, 1 << 40, "open", nil},
		"scheduled":                    {func(t *coupon.Terms) { t.OpensAt = gateNow.Add(time.Microsecond) }, 0, "scheduled", 100.0},
		"first instant":                {func(t *coupon.Terms) { t.OpensAt = gateNow }, 0, "open", 100.0},
		"last instant":                 {func(t *coupon.Terms) { t.ClosesAt = gateNow.Add(time.Microsecond) }, 0, "open", 100.0},
		"over":                         {func(t *coupon.Terms) { t.ClosesAt = gateNow }, 0, "closed", 100.0},
		"closed before it opens":       {func(t *coupon.Terms) { t.State, t.OpensAt = coupon.StateClosed, gateNow.Add(1) }, 0, "closed", 100.0},
		"paused before it opens":       {func(t *coupon.Terms) { t.State, t.OpensAt = coupon.StatePaused, gateNow.Add(time.Hour) }, 0, "scheduled", 100.0},
		"paused though it is sold out": {func(t *coupon.Terms) { t.State = coupon.StatePaused }, 100, "paused", 0.0},
	} {
		a := newAPI(t)
		stored := sale(7)
		c.change(&stored.Terms)
		a.coupons[7] = stored
		a.views[7] = coupon.ViewAnswer{View: coupon.View{Terms: stored.Terms, Taken: c.taken, Now: gateNow}}
		got := a.do(ask{method: http.MethodGet, path: "/v1/coupons/7"})
		require.Equal(t, http.StatusOK, got.status, name)
		assert.Equal(t, c.state, got.doc["state"], name)
		assert.Equal(t, c.remaining, got.doc["remaining"], name)
	}
}

func TestAPageOfCouponsIsOneQuestionToTheGates(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for n := range int64(45) {
		a.coupons[n+1] = sale(n + 1)
		a.views[n+1] = coupon.ViewAnswer{View: coupon.View{Terms: sale(7).Terms, Taken: n, Now: gateNow}}
	}
	var seen int
	path := "/v1/coupons"
	for page := range 3 {
		got := a.do(ask{method: http.MethodGet, path: path})
		require.Equal(t, http.StatusOK, got.status)
		for _, item := range got.doc["items"].([]any) {
			seen++
			assert.EqualValues(t, seen, item.(map[string]any)["id"])
			assert.EqualValues(t, 100-seen+1, item.(map[string]any)["remaining"])
		}
		assert.Equal(t, page+1, a.viewCalls)
		next, more := got.doc["next_cursor"].(string)
		assert.Equal(t, page < 2, more)
		path = "/v1/coupons?cursor=" + next
	}
	assert.Equal(t, 45, seen)
	got := a.do(ask{method: http.MethodGet, path: "/v1/coupons?limit=45"})
	assert.NotContains(t, got.doc, "next_cursor", "a full last page is the last")
}

func TestAnUnknownCouponIs404(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, q := range []ask{
		{method: http.MethodGet, path: "/v1/coupons/8"},
		{method: http.MethodGet, path: "/v1/coupons/9007199254740991"},
		{method: http.MethodGet, path: "/v1/coupons/8/issues/me", token: "alice"},
		{method: http.MethodPatch, path: "/v1/admin/coupons/8", token: "admin", body: `{"state":"paused","reason":"x"}`},
	} {
		got := a.do(q)
		assert.Equal(t, http.StatusNotFound, got.status, q.path)
		assert.Equal(t, "coupon_not_found", got.code())
	}
}
