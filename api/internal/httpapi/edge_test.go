package httpapi

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

func TestAnswersAreCountedByRouteStatusAndCodeAndNobodyMakesLabels(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	a := newAPI(t, func(d *Deps) { d.Registerer = registry })
	a.outcome = admitted(1)
	claim := ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice"}
	a.do(claim)
	a.outcome = refusedWith(coupon.SoldOut)
	a.do(claim)
	a.do(claim)
	for _, odd := range []ask{
		{method: http.MethodGet, path: "/v1/made/up"}, {method: "BREW", path: "/v1/coupons"}, {method: http.MethodGet, path: "/v1/coupons/x"},
		{method: http.MethodHead, path: "/v1/coupons/7"},
	} {
		a.do(odd)
	}
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP firstcome_api_answers_total Answers by route, HTTP status and code; the code of a success is ok.
# TYPE firstcome_api_answers_total counter
firstcome_api_answers_total{code="invalid_request",route="GET /v1/coupons/:id",status="400"} 1
firstcome_api_answers_total{code="method_not_allowed",route="none",status="405"} 1
firstcome_api_answers_total{code="not_found",route="none",status="404"} 1
firstcome_api_answers_total{code="ok",route="GET /v1/coupons/:id",status="200"} 1
firstcome_api_answers_total{code="ok",route="POST /v1/coupons/:id/issues",status="202"} 1
firstcome_api_answers_total{code="sold_out",route="POST /v1/coupons/:id/issues",status="409"} 2
# HELP firstcome_api_requests_in_flight Requests that are being answered.
# TYPE firstcome_api_requests_in_flight gauge
firstcome_api_requests_in_flight 0
`), "firstcome_api_answers_total", "firstcome_api_requests_in_flight"))
}

func TestRequestsAreLoggedAtDebugOnlyAndUnknownOutcomesNowAndThen(t *testing.T) {
	t.Parallel()
	for level, lines := range map[slog.Level]int{slog.LevelDebug: 51, slog.LevelInfo: 1} {
		var out bytes.Buffer
		a := newAPI(t, func(d *Deps) { d.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level})) })
		a.gateErr = &coupon.UnsoundError{Tag: "c7", Why: coupon.WhyNoGate}
		for range 50 {
			a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues?", token: "alice"})
		}
		assert.Equal(t, lines, strings.Count(out.String(), "\n"), "%v", level)
		assert.Contains(t, out.String(), "no_gate", "operators are told why")
		assert.NotContains(t, out.String(), "Bearer")
	}
}

func TestAPanicIsLoggedWithItsStackAndRequest(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := newAPI(t, func(d *Deps) { d.Log = slog.New(slog.NewJSONHandler(&out, nil)) })
	a.panics = true
	got := a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice"})
	requestID, _ := got.doc["request_id"].(string)
	assert.Contains(t, out.String(), requestID)
	assert.Contains(t, out.String(), "fakes_test.go")
}
