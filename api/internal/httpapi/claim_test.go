package httpapi

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

// admitted is the outcome of a claim that got the place with this number.
func admitted(seq int64) admission.Outcome {
	accepted := gateNow.Add(-time.Second)
	return admission.Outcome{
		Decision: admission.Decision{Verdict: coupon.Admitted, Nth: 1, Seq: seq, AcceptedAt: accepted},
		Place:    coupon.Place{CouponID: 7, UserID: "alice", Nth: 1, Seq: seq, Epoch: 3, AcceptedAt: accepted},
		Now:      gateNow, OpensAt: gateNow.Add(-time.Hour),
	}
}

func refusedWith(v coupon.Verdict) admission.Outcome {
	return admission.Outcome{Decision: admission.Decision{Verdict: v}, Now: gateNow, OpensAt: gateNow.Add(90*time.Second + time.Microsecond)}
}

func TestAPlaceIsAnsweredWithTheSameReceiptEveryTime(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	claim := ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice"}
	a.outcome = admitted(57)
	first := a.do(claim)
	require.Equal(t, http.StatusAccepted, first.status)
	assert.JSONEq(t, `{"coupon_id":7,"user_id":"alice","nth":1,"seq":57,"status":"accepted","accepted_at":"2026-11-20T11:59:59.000123Z"}`, string(first.body))
	a.outcome.Verdict, a.outcome.Again = coupon.Holder, true
	again := a.do(claim)
	require.Equal(t, http.StatusOK, again.status)
	assert.Equal(t, string(first.body), string(again.body))
	assert.Equal(t, []string{"7/alice/", "7/alice/"}, a.claims)
}

func TestEachRefusalHasItsStatusCodeAndTheGatesClock(t *testing.T) {
	t.Parallel()
	for verdict, want := range map[coupon.Verdict]struct {
		status int
		code   string
	}{
		coupon.Revoked: {409, "revoked"}, coupon.Closed: {410, "closed"}, coupon.NotOpen: {403, "not_open"}, coupon.Paused: {409, "paused"},
		coupon.UserLimit: {409, "user_limit"}, coupon.EventLimit: {409, "event_limit"}, coupon.SoldOut: {409, "sold_out"},
	} {
		a := newAPI(t)
		a.outcome = refusedWith(verdict)
		got := a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice"})
		require.Equal(t, want.status, got.status, want.code)
		assert.Equal(t, want.code, got.code())
		assert.Equal(t, "2026-11-20T12:00:00.000123Z", got.doc["server_time"], "the gate's clock, not the host's")
		assert.Equal(t, "urn:firstcome:problem:"+want.code, got.doc["type"])
		assert.NotEmpty(t, got.doc["detail_ko"])
		if verdict == coupon.NotOpen {
			assert.Equal(t, "91", got.header.Get("Retry-After"), "rounded up")
			assert.Equal(t, "2026-11-20T12:01:30.000124Z", got.doc["opens_at"])
		} else {
			assert.Empty(t, got.header.Get("Retry-After"))
			assert.NotContains(t, got.doc, "opens_at")
		}
	}
}

func TestAnUnknownOutcomeIsNeverARefusal(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"unknown":     errors.New("i/o timeout at 10.0.0.7:6379"),
		"unsound":     &coupon.UnsoundError{Tag: "c7", Why: coupon.WhyForeign},
		"busy":        admission.ErrBusy,
		"unconfirmed": admission.ErrUnconfirmed,
		"overtaken":   coupon.ErrOvertaken,
	} {
		a := newAPI(t)
		a.gateErr = err
		got := a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice"})
		require.Equal(t, http.StatusServiceUnavailable, got.status, name)
		assert.Equal(t, "unavailable", got.code())
		assert.Equal(t, "1", got.header.Get("Retry-After"))
		assert.NotContains(t, string(got.body), "10.0.0.7", "the inside is nobody's business")
		assert.Equal(t, "2026-11-20T13:00:00.000123Z", got.doc["server_time"], "no gate answered: the host's clock")
	}
}

func TestAClaimForAnUnknownCouponIs404(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := a.do(ask{method: http.MethodPost, path: "/v1/coupons/8/issues", token: "alice"})
	assert.Equal(t, http.StatusNotFound, got.status)
	assert.Equal(t, "coupon_not_found", got.code())
	assert.Contains(t, got.detail(), "id: ")
}

func TestTheIdempotencyKeyReachesTheDeskAsItIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.outcome = admitted(1)
	for _, row := range []struct {
		header []string
		key    string
	}{
		{[]string{"order-81"}, "order-81"},
		{[]string{"not valid!"}, "not valid!"}, // counts only where a key is needed: the desk knows
		{[]string{""}, ""},
		{[]string{"", ""}, ", "},
		{[]string{"a", "b"}, "a, b"}, // two keys are no key that is valid
	} {
		a.claims = nil
		got := a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice", header: http.Header{"Idempotency-Key": row.header}})
		require.Equal(t, http.StatusAccepted, got.status, row.key)
		assert.Equal(t, []string{"7/alice/" + row.key}, a.claims)
	}
	a.gateErr = &coupon.FieldError{Field: "Idempotency-Key", Detail: "is needed"}
	got := a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice"})
	assert.Equal(t, http.StatusBadRequest, got.status)
	assert.Contains(t, got.detail(), "Idempotency-Key: ")
}

func TestAUserWhoAsksTooOftenIsHeldBackAndNobodyElse(t *testing.T) {
	t.Parallel()
	now := hostNow
	a := newAPI(t, func(d *Deps) { d.UserRate, d.Now = 2, func() time.Time { return now } })
	a.outcome = admitted(1)
	claim := ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice"}
	assert.Equal(t, http.StatusAccepted, a.do(claim).status)
	assert.Equal(t, http.StatusAccepted, a.do(claim).status)
	third := a.do(claim)
	assert.Equal(t, http.StatusTooManyRequests, third.status)
	assert.Equal(t, "rate_limited", third.code())
	assert.Equal(t, "1", third.header.Get("Retry-After"))
	bob := claim
	bob.token = "bob"
	assert.Equal(t, http.StatusAccepted, a.do(bob).status)
	now = now.Add(time.Second)
	assert.Equal(t, http.StatusAccepted, a.do(claim).status)
	assert.Len(t, a.claims, 4)
}

func TestAPanicIsAnAnswerThatLeaksNothing(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.panics = true
	got := a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice"})
	assert.Equal(t, http.StatusInternalServerError, got.status)
	assert.Equal(t, "internal_error", got.code())
	assert.NotContains(t, string(got.body), "secret")
	a.panics = false
	a.outcome = admitted(1)
	assert.Equal(t, http.StatusAccepted, a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice"}).status)
}
