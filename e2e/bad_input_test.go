package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// Whatever is sent, the answer is a problem document of the 4xx family with a stable code, the detail names the field,
// and nothing is written.
func TestBadInputIsRefusedAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Embedded, stack.Options{})
	root, ann := s.Token("root", true), s.Token("ann", false)
	vendor := s.Vendor(t)
	coupon := s.Coupon(t, map[string]any{"vendor_id": vendor, "total_quantity": 5})
	event := s.Event(t)
	counted := func() (n [4]int64) {
		for i, table := range []string{"vendors", "coupons", "events", "issues"} {
			n[i] = s.Count(t, "SELECT COUNT(*) FROM "+table)
		}
		return n
	}
	before := counted()

	body := func(change string) string {
		fields := map[string]json.RawMessage{
			"name": json.RawMessage(`"` + stack.Unique("bad") + `"`), "vendor_id": json.RawMessage(fmt.Sprint(vendor)),
			"opens_at": json.RawMessage(`"2026-01-01T00:00:00Z"`), "closes_at": json.RawMessage(`"2036-01-01T00:00:00Z"`),
		}
		if name, value, ok := strings.Cut(change, "="); ok {
			if value == "" {
				delete(fields, name)
			} else {
				fields[name] = json.RawMessage(value)
			}
		}
		text, err := json.Marshal(fields)
		if err != nil { // a value that is no JSON is wanted as it is
			return `{"name":` + change
		}
		return string(text)
	}
	admin := func(change string) (string, string, string, string) {
		return http.MethodPost, "/v1/admin/coupons", root, body(change)
	}
	name := func(change string) string { n, _, _ := strings.Cut(change, "="); return n }
	for _, change := range []string{
		"total_quantity=0", "total_quantity=-1", "total_quantity=1.5", `total_quantity="7"`,
		"total_quantity=99999999999999999999", "total_quantity=1000000000001", "total_quantity=1e3",
		`closes_at="2025-01-01T00:00:00Z"`, `closes_at="2026-01-01T00:00:00Z"`, `opens_at="2026-02-30T00:00:00Z"`,
		`opens_at="tomorrow"`, "opens_at=", "closes_at=", "opens_at=null",
		`colour="red"`, `name=""`, `name="` + strings.Repeat("n", 101) + `"`, "name=", "name=5",
		"vendor_id=0", "vendor_id=-3", `vendor_id="7"`, "vendor_id=9007199254740992", "vendor_id=",
		"per_user_limit=0", "per_user_limit=101", "per_user_limit=1.5", `kind="third_kind"`,
		"valid_for_days=-1", "max_uses=0", "min_order_amount=-1", `stackable="yes"`,
	} {
		method, path, token, text := admin(change)
		a := s.Must(t, http.StatusBadRequest, method, path, token, text)
		require.Equal(t, "invalid_request", a.Code(), "%s", change)
		require.Contains(t, string(a.Body), name(change), "%s: the detail names the field: %s", change, a.Body)
		require.Equal(t, "application/problem+json", strings.Split(a.Header.Get("Content-Type"), ";")[0])
		require.Contains(t, a.JSON(t), "server_time")
	}
	percent := func(value string) string {
		text := body("discount_value=" + value)
		return strings.Replace(text, "{", `{"discount_type":"percent",`, 1)
	}
	for _, value := range []string{"0", "101", "-1", "1.5"} {
		a := s.Must(t, http.StatusBadRequest, http.MethodPost, "/v1/admin/coupons", root, percent(value))
		require.Contains(t, string(a.Body), "discount_value")
	}

	claim := func(id string) string { return "/v1/coupons/" + id + "/issues" }
	for _, c := range []struct {
		what, method, path, token, body string
		status                          int
		code                            string
	}{
		{"trailing bytes", http.MethodPost, "/v1/admin/vendors", root, `{"name":"A"} x`, 400, "invalid_request"},
		{"null body", http.MethodPost, "/v1/admin/vendors", root, `null`, 400, "invalid_request"},
		{"array body", http.MethodPost, "/v1/admin/vendors", root, `[]`, 400, "invalid_request"},
		{"no body", http.MethodPost, "/v1/admin/vendors", root, ``, 400, "invalid_request"},
		{"20,000 brackets", http.MethodPost, "/v1/admin/vendors", root, strings.Repeat("[", 20_000), 400, "invalid_request"},
		{"over 64 KiB", http.MethodPost, "/v1/admin/vendors", root, `{"name":"` + strings.Repeat("n", 70_000) + `"}`, 413, "body_too_large"},
		{"wrong method", http.MethodDelete, "/v1/coupons", root, "", 405, "method_not_allowed"},
		{"unknown path", http.MethodGet, "/v1/nothing", ann, "", 404, "not_found"},
		{"id 0", http.MethodPost, claim("0"), ann, "", 400, "invalid_request"},
		{"id negative", http.MethodPost, claim("-1"), ann, "", 400, "invalid_request"},
		{"id text", http.MethodPost, claim("abc"), ann, "", 400, "invalid_request"},
		{"id too long", http.MethodPost, claim(strings.Repeat("9", 30)), ann, "", 400, "invalid_request"},
		{"unknown coupon", http.MethodPost, claim("4711"), ann, "", 404, "coupon_not_found"},
		{"unknown vendor", http.MethodPost, "/v1/admin/coupons", root, body("vendor_id=4711"), 404, "vendor_not_found"},
		{"unknown event", http.MethodPost, "/v1/admin/coupons", root, body("event_id=4711"), 404, "event_not_found"},
		{"unknown coupon to change", http.MethodPatch, "/v1/admin/coupons/4711", root, `{"state":"paused","reason":"r"}`, 404, "coupon_not_found"},
		{"no reason", http.MethodPatch, fmt.Sprintf("/v1/admin/coupons/%d", coupon), root, `{"state":"paused"}`, 400, "invalid_request"},
		{"unknown failed event", http.MethodPost, "/v1/admin/failed-events/4711/retry", root, "", 404, "failed_event_not_found"},
		{"no token", http.MethodPost, claim(fmt.Sprint(coupon)), "", "", 401, "unauthorized"},
		{"not an admin", http.MethodPost, "/v1/admin/vendors", ann, `{"name":"A"}`, 403, "forbidden"},
		{"limit 0", http.MethodGet, "/v1/coupons?limit=0", "", "", 400, "invalid_request"},
		{"limit 101", http.MethodGet, "/v1/coupons?limit=101", "", "", 400, "invalid_request"},
		{"limit text", http.MethodGet, "/v1/coupons?limit=many", "", "", 400, "invalid_request"},
		{"foreign cursor", http.MethodGet, "/v1/coupons?cursor=%00%ff", "", "", 400, "invalid_request"},
		{"long cursor", http.MethodGet, "/v1/me/issues?cursor=" + strings.Repeat("A", 3000), ann, "", 400, "invalid_request"},
	} {
		var payload any
		if c.body != "" || c.what == "no body" {
			payload = c.body
		}
		a := s.Must(t, c.status, c.method, c.path, c.token, payload)
		require.Equal(t, c.code, a.Code(), "%s: %s", c.what, a.Body)
	}
	a := s.Must(t, http.StatusUnsupportedMediaType, http.MethodPost, "/v1/admin/vendors", root, `{"name":"A"}`, "Content-Type", "text/plain")
	require.Equal(t, "unsupported_media_type", a.Code())
	for what, token := range badTokens(t) {
		a := s.Must(t, http.StatusUnauthorized, http.MethodPost, claim(fmt.Sprint(coupon)), token, nil)
		require.Equal(t, "unauthorized", a.Code(), "%s", what)
	}
	// Names that are taken.
	for path, text := range map[string]string{
		"/v1/admin/vendors": `{"name":"Twice"}`,
		"/v1/admin/events":  `{"name":"Twice","starts_at":"2026-01-01T00:00:00Z","ends_at":"2026-01-02T00:00:00Z"}`,
		"/v1/admin/coupons": body(`name="Twice"`),
	} {
		s.Must(t, http.StatusCreated, http.MethodPost, path, root, text)
		require.Equal(t, "name_taken", s.Must(t, http.StatusConflict, http.MethodPost, path, root, text).Code())
	}
	after := counted()
	for i := range 3 {
		require.Equal(t, before[i]+1, after[i], "only the three that were good")
	}
	require.Equal(t, before[3], after[3])
	require.Positive(t, event)
}

func badTokens(t *testing.T) map[string]string {
	t.Helper()
	sign := func(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		signed, err := jwt.NewWithClaims(method, claims).SignedString(key)
		require.NoError(t, err)
		return signed
	}
	ours := []byte(stack.Secret)
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	return map[string]string{
		"expired":            sign(jwt.SigningMethodHS256, ours, jwt.MapClaims{"sub": "ann", "exp": in(-time.Hour)}),
		"not yet valid":      sign(jwt.SigningMethodHS256, ours, jwt.MapClaims{"sub": "ann", "exp": in(2 * time.Hour), "nbf": in(time.Hour)}),
		"without exp":        sign(jwt.SigningMethodHS256, ours, jwt.MapClaims{"sub": "ann"}),
		"without sub":        sign(jwt.SigningMethodHS256, ours, jwt.MapClaims{"exp": in(time.Hour)}),
		"sub empty":          sign(jwt.SigningMethodHS256, ours, jwt.MapClaims{"sub": "", "exp": in(time.Hour)}),
		"sub too long":       sign(jwt.SigningMethodHS256, ours, jwt.MapClaims{"sub": strings.Repeat("x", 65), "exp": in(time.Hour)}),
		"sub with a blank":   sign(jwt.SigningMethodHS256, ours, jwt.MapClaims{"sub": "a b", "exp": in(time.Hour)}),
		"alg none":           sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"sub": "ann", "exp": in(time.Hour)}),
		"of another key":     sign(jwt.SigningMethodHS256, []byte(strings.Repeat("k", 40)), jwt.MapClaims{"sub": "ann", "exp": in(time.Hour)}),
		"another algorithm":  sign(jwt.SigningMethodHS512, ours, jwt.MapClaims{"sub": "ann", "exp": in(time.Hour)}),
		"unsigned":           strings.Join(strings.Split(sign(jwt.SigningMethodHS256, ours, jwt.MapClaims{"sub": "ann", "exp": in(time.Hour)}), ".")[:2], ".") + ".",
		"not a token at all": "hello",
	}
}
