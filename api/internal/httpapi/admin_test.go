package httpapi

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/publish"
)

func TestACouponIsPublishedWithWhatWasAskedForAndTheDefaults(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := a.do(ask{method: http.MethodPost, path: "/v1/admin/coupons", token: "admin", body: goodCoupon()})
	require.Equal(t, http.StatusCreated, got.status, "%s", got.body)
	assert.Equal(t, "/v1/coupons/902", got.header.Get("Location"))
	assert.EqualValues(t, 902, got.doc["id"])
	assert.Nil(t, got.doc["total_quantity"])
	opens := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	want := coupon.Coupon{
		Name: "coffee", VendorID: 900, Kind: coupon.FirstComeIssue, PerUserLimit: 1,
		Terms: coupon.Terms{State: coupon.StateOpen, OpensAt: opens, ClosesAt: opens.AddDate(0, 0, 1)},
	}
	assert.Equal(t, want, a.published[0])

	got = a.do(ask{method: http.MethodPost, path: "/v1/admin/coupons", token: "admin", body: `{
		"name":"쿠폰 1,000장","vendor_id":900,"event_id":901,"kind":"first_come_use","total_quantity":1000,"per_user_limit":3,
		"opens_at":"2026-11-20T21:00:00.1234567+09:00","closes_at":"2026-11-21T12:00:00Z","discount_type":"percent","discount_value":100,
		"min_order_amount":5000,"stackable":true,"valid_for_days":30,"max_uses":10}`})
	require.Equal(t, http.StatusCreated, got.status, "%s", got.body)
	total, uses := int64(1000), int64(10)
	assert.Equal(t, coupon.Coupon{
		Name: "쿠폰 1,000장", VendorID: 900, EventID: 901, Kind: coupon.FirstComeUse, PerUserLimit: 3,
		Terms: coupon.Terms{
			Total: &total, State: coupon.StateOpen,
			OpensAt: time.Date(2026, 11, 20, 12, 0, 0, 123_456_000, time.UTC), ClosesAt: opens.AddDate(0, 0, 1),
		},
		DiscountType: coupon.DiscountPercent, DiscountValue: 100, MinOrderAmount: 5000, Stackable: true, ValidForDays: 30, MaxUses: &uses,
	}, a.published[1])

	got = a.do(ask{method: http.MethodPost, path: "/v1/admin/coupons", token: "admin", body: goodCoupon(
		"event_id", "null", "total_quantity", "null", "discount_type", "null", "discount_value", "null", "valid_for_days", "null", "max_uses", "null")})
	require.Equal(t, http.StatusCreated, got.status, "null where it means none: %s", got.body)
	assert.Equal(t, want, a.published[2])
}

func TestVendorsAndEventsAreCreated(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := a.do(ask{method: http.MethodPost, path: "/v1/admin/vendors", token: "admin", body: `{"name":"Bakery Kim"}`})
	require.Equal(t, http.StatusCreated, got.status)
	assert.JSONEq(t, `{"id":900,"name":"Bakery Kim"}`, string(got.body))
	got = a.do(ask{method: http.MethodPost, path: "/v1/admin/events", token: "admin",
		body: `{"name":"week","starts_at":"2026-11-20T00:00:00Z","ends_at":"2026-11-27T00:00:00Z"}`})
	require.Equal(t, http.StatusCreated, got.status)
	assert.JSONEq(t, `{"id":901,"name":"week","starts_at":"2026-11-20T00:00:00Z","ends_at":"2026-11-27T00:00:00Z"}`, string(got.body))
	for body, field := range map[string]string{
		`{"name":"week","starts_at":"2026-11-20T00:00:00Z","ends_at":"2026-11-20T00:00:00Z"}`: "ends_at",
		`{"name":"week","starts_at":"2026-11-20T00:00:00Z"}`:                                  "ends_at",
		`{"name":" ","starts_at":"2026-11-20T00:00:00Z","ends_at":"2026-11-21T00:00:00Z"}`:    "name",
	} {
		got = a.do(ask{method: http.MethodPost, path: "/v1/admin/events", token: "admin", body: body})
		assert.Equal(t, http.StatusBadRequest, got.status)
		assert.Contains(t, got.detail(), field+": ")
	}
	assert.Len(t, a.events, 1)
}

func TestEachErrorOfPublishingHasItsAnswer(t *testing.T) {
	t.Parallel()
	create := ask{method: http.MethodPost, path: "/v1/admin/coupons", token: "admin", body: goodCoupon()}
	change := ask{method: http.MethodPatch, path: "/v1/admin/coupons/7", token: "admin", body: `{"total_quantity":5,"reason":"x"}`}
	vendor := ask{method: http.MethodPost, path: "/v1/admin/vendors", token: "admin", body: `{"name":"Kim"}`}
	for _, row := range []struct {
		q      ask
		err    error
		status int
		code   string
		names  string
	}{
		{create, coupon.ErrNameTaken, 409, "name_taken", "name: "},
		{create, coupon.ErrVendorNotFound, 404, "vendor_not_found", "vendor_id: "},
		{create, coupon.ErrEventNotFound, 404, "event_not_found", "event_id: "},
		{create, &coupon.FieldError{Field: "event_id", Detail: "has 1000 coupons already"}, 400, "invalid_request", "event_id: "},
		{create, errors.New("timeout"), 503, "unavailable", ""},
		{create, coupon.ErrIDTaken, 503, "unavailable", ""},
		{create, &publish.KeptError{Err: coupon.ErrOvertaken}, 503, "unavailable", "published"},
		{vendor, coupon.ErrNameTaken, 409, "name_taken", "name: "},
		{change, coupon.ErrBelowIssued, 409, "below_issued", "total_quantity: "},
		{change, coupon.ErrSuperseded, 409, "superseded", ""},
		{change, &coupon.UnsoundError{Tag: "c7", Why: coupon.WhyNoGate}, 503, "unavailable", ""},
		{change, &publish.KeptError{Revision: 4, Err: coupon.ErrSuperseded}, 503, "unavailable", "kept"},
	} {
		a := newAPI(t)
		a.pubErr = row.err
		got := a.do(row.q)
		require.Equal(t, row.status, got.status, "%v: %s", row.err, got.body)
		assert.Equal(t, row.code, got.code())
		assert.Contains(t, got.detail(), row.names)
		assert.Equal(t, row.status == http.StatusServiceUnavailable, got.header.Get("Retry-After") != "")
	}
}

func TestAChangeTellsNullFromLeftOut(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	change := func(body string) publish.ChangeRequest {
		got := a.do(ask{method: http.MethodPatch, path: "/v1/admin/coupons/7", token: "admin", body: body})
		require.Equal(t, http.StatusOK, got.status, "%s", got.body)
		return a.changes[len(a.changes)-1]
	}
	c := change(`{"total_quantity":null,"reason":"all"}`)
	require.NotNil(t, c.Total)
	assert.Nil(t, *c.Total)
	assert.Equal(t, "all", c.Reason)
	assert.Equal(t, "admin", c.By)

	c = change(`{"total_quantity":200,"reason":"more"}`)
	assert.EqualValues(t, 200, **c.Total)
	assert.Nil(t, c.State)

	c = change(`{"state":"paused","opens_at":"2026-11-20T12:00:00Z","reason":"later"}`)
	assert.Nil(t, c.Total)
	assert.Equal(t, coupon.StatePaused, *c.State)
	assert.Equal(t, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), *c.OpensAt)
	assert.Nil(t, c.ClosesAt)
}

func TestFailedEventsAreListedFilteredAndTriedAgain(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for n := range int64(3) {
		a.failed[n+1] = coupon.FailedEvent{
			ID: n + 1, Topic: "firstcome.issues.v1", Partition: 3, Offset: 8120 + n, RecordKey: "u-81", Payload: []byte(`{"v":1}`),
			Reason: coupon.FailStaleEpoch, Error: "overtaken", Attempts: 1, Status: coupon.FailedWaiting, CreatedAt: gateNow, UpdatedAt: gateNow,
		}
	}
	broken := a.failed[3]
	broken.Reason, broken.Payload, broken.Status = coupon.FailUndecodable, []byte{0xff, 0}, coupon.FailedQuarantined
	a.failed[3] = broken

	got := a.do(ask{method: http.MethodGet, path: "/v1/admin/failed-events?limit=2", token: "admin"})
	require.Equal(t, http.StatusOK, got.status)
	assert.Len(t, got.doc["items"], 2)
	got = a.do(ask{method: http.MethodGet, path: "/v1/admin/failed-events?cursor=" + got.doc["next_cursor"].(string), token: "admin"})
	require.Len(t, got.doc["items"], 1)
	item := got.doc["items"].([]any)[0].(map[string]any)
	assert.Equal(t, "/wA=", item["payload_base64"])
	assert.NotContains(t, item, "payload")
	assert.NotContains(t, item, "user_id")
	assert.NotContains(t, item, "next_attempt_at")
	got = a.do(ask{method: http.MethodGet, path: "/v1/admin/failed-events?reason=stale_epoch&status=waiting", token: "admin"})
	assert.Len(t, got.doc["items"], 2)

	got = a.do(ask{method: http.MethodPost, path: "/v1/admin/failed-events/3/retry", token: "admin"})
	require.Equal(t, http.StatusAccepted, got.status)
	assert.JSONEq(t, `{"id":3,"status":"waiting"}`, string(got.body))
	got = a.do(ask{method: http.MethodPost, path: "/v1/admin/failed-events/4/retry", token: "admin"})
	assert.Equal(t, http.StatusNotFound, got.status)
	assert.Equal(t, "failed_event_not_found", got.code())
	assert.Equal(t, []int64{3}, a.requeued)
}
