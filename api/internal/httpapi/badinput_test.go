package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goodCoupon is a request that is answered 201; rows change one field of it.
func goodCoupon(change ...string) string {
	fields := map[string]string{
		"name": `"coffee"`, "vendor_id": `900`,
		"opens_at": `"2026-11-20T12:00:00Z"`, "closes_at": `"2026-11-21T12:00:00Z"`,
	}
	for pair := range slices.Chunk(change, 2) {
		fields[pair[0]] = pair[1]
	}
	var parts []string
	for name, value := range fields {
		if value != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// badFields are values of one field of a coupon to create; each is answered 400 with a detail that names it.
func badFields() [][2]string {
	var rows [][2]string
	for field, values := range map[string][]string{
		"total_quantity": {"0", "-1", "1.5", "1.0", "1e3", `"10"`, "9223372036854775808", "-9223372036854775809",
			"100000000000000000000000", "1000000000001", "true", "[]", "{}", `""`},
		"per_user_limit":   {"0", "-1", "101", "1.5", `"1"`, "null", "9223372036854775808"},
		"vendor_id":        {"0", "-1", `"900"`, "1.5", "null", "9007199254740992", "9223372036854775808", ""},
		"event_id":         {"0", "-1", `"1"`, "9007199254740992"},
		"name":             {`""`, `"   "`, `"` + strings.Repeat("x", 101) + `"`, `"` + strings.Repeat("쿠", 101) + `"`, "5", "null", `"a\u0000b"`, `"\ud800"`, ""},
		"kind":             {`"issue"`, `""`, "1", "null"},
		"opens_at":         {`"2026-02-30T00:00:00Z"`, `"2026-11-20"`, `"2026-11-20T25:00:00Z"`, `"2026-11-20 12:00:00Z"`, "1700000000", "null", `"1999-12-31T23:59:59Z"`, ""},
		"closes_at":        {`"2026-11-20T12:00:00Z"`, `"2026-11-20T11:59:59Z"`, `"tomorrow"`, `"10000-01-01T00:00:00Z"`, `"2026-13-01T00:00:00Z"`, ""},
		"discount_type":    {`"free"`, `""`, "1"},
		"discount_value":   {"0", "-1", "101", "1.5", `"50"`},
		"min_order_amount": {"-1", "1000000000001", "0.5", "null"},
		"stackable":        {`"yes"`, "1", "null"},
		"valid_for_days":   {"0", "-1", "3651", "1.5"},
		"max_uses":         {"0", "-1", "1000000000001", `"1"`},
		"colour":           {`"red"`},
		"Name":             {`"another spelling is another field"`},
		"server_time":      {`"2026-11-20T12:00:00Z"`},
	} {
		for _, value := range values {
			rows = append(rows, [2]string{field, value})
		}
	}
	return rows
}

func TestABadFieldIsNamedAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	for _, row := range badFields() {
		field, value := row[0], row[1]
		a := newAPI(t)
		body := goodCoupon(field, value)
		if field == "discount_value" { // needs its type
			body = goodCoupon(field, value, "discount_type", `"percent"`)
		}
		got := a.do(ask{method: http.MethodPost, path: "/v1/admin/coupons", token: "admin", body: body})
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %.80s: %s", field, value, got.body)
		assert.Equal(t, "invalid_request", got.code())
		assert.Contains(t, got.detail(), field+": ", "%.80s", value)
		assert.Contains(t, got.doc["detail_ko"], field)
		assert.Zero(t, a.written())
	}
}

func TestSeveralBadFieldsAreNamedAtOnceAndNoneIsGuessed(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := a.do(ask{method: http.MethodPost, path: "/v1/admin/coupons", token: "admin", body: `{
		"name":"","vendor_id":"x","total_quantity":1.5,"opens_at":"never","closes_at":"2026-11-20T12:00:00Z","colour":1}`})
	require.Equal(t, http.StatusBadRequest, got.status)
	var fields []any
	for _, e := range got.doc["errors"].([]any) {
		fields = append(fields, e.(map[string]any)["field"])
	}
	assert.ElementsMatch(t, []any{"name", "vendor_id", "total_quantity", "opens_at", "colour"}, fields)
}

func TestABadBodyIsRefusedWhole(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 70<<10)
	jsonType := http.Header{"Content-Type": {"application/json"}}
	for name, row := range map[string]struct {
		body   string
		header http.Header
		status int
		code   string
		names  string
	}{
		"empty":                {"", nil, 400, "invalid_request", "body"},
		"blank":                {"   ", nil, 400, "invalid_request", "body"},
		"null":                 {"null", nil, 400, "invalid_request", "body"},
		"array":                {"[" + goodCoupon() + "]", nil, 400, "invalid_request", "body"},
		"text":                 {`"coffee"`, nil, 400, "invalid_request", "body"},
		"number":               {"5", nil, 400, "invalid_request", "body"},
		"no JSON":              {"name=coffee", nil, 400, "invalid_request", "body"},
		"cut":                  {goodCoupon()[:20], nil, 400, "invalid_request", "body"},
		"trailing brace":       {goodCoupon() + "}", nil, 400, "invalid_request", "body"},
		"trailing object":      {goodCoupon() + "{}", nil, 400, "invalid_request", "body"},
		"trailing text":        {goodCoupon() + " x", nil, 400, "invalid_request", "body"},
		"trailing comma":       {strings.TrimSuffix(goodCoupon(), "}") + ",}", nil, 400, "invalid_request", "body"},
		"no colon":             {`{"name"}`, nil, 400, "invalid_request", "body"},
		"number as key":        {`{1:2}`, nil, 400, "invalid_request", "body"},
		"byte order mark":      {"\ufeff" + goodCoupon(), nil, 400, "invalid_request", "body"},
		"not UTF-8":            {"{\"name\":\"\xff\"}", nil, 400, "invalid_request", "body"},
		"twice":                {`{"name":"a","name":"b"}`, nil, 400, "invalid_request", "name"},
		"20,000 brackets":      {strings.Repeat("[", 20000), nil, 400, "invalid_request", "body"},
		"20,000 closed":        {strings.Repeat("[", 20000) + strings.Repeat("]", 20000), nil, 400, "invalid_request", "body"},
		"20,000 in a field":    {`{"name":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}", nil, 400, "invalid_request", "body"},
		"20,000 objects":       {strings.Repeat(`{"name":`, 5000), nil, 400, "invalid_request", "body"},
		"nested":               {goodCoupon("name", `{"a":[1]}`), nil, 400, "invalid_request", "name"},
		"many fields":          {manyFields(), nil, 400, "invalid_request", "body"},
		"too long":             {goodCoupon("name", `"`+long+`"`), nil, 413, "body_too_large", "body"},
		"too long, wrong type": {long, http.Header{"Content-Type": {"text/plain"}}, 413, "body_too_large", "body"},
		"no type":              {goodCoupon(), http.Header{"Content-Type": nil}, 415, "unsupported_media_type", "Content-Type"},
		"text/plain":           {goodCoupon(), http.Header{"Content-Type": {"text/plain"}}, 415, "unsupported_media_type", "Content-Type"},
		"form":                 {"name=x", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, 415, "unsupported_media_type", "Content-Type"},
		"no media type":        {goodCoupon(), http.Header{"Content-Type": {"json;;"}}, 415, "unsupported_media_type", "Content-Type"},
		"two types":            {goodCoupon(), http.Header{"Content-Type": {"application/json", "application/json"}}, 415, "unsupported_media_type", "Content-Type"},
		"other charset":        {goodCoupon(), http.Header{"Content-Type": {"application/json; charset=latin1"}}, 415, "unsupported_media_type", "Content-Type"},
		"encoded":              {goodCoupon(), http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, 415, "unsupported_media_type", "Content-Type"},
	} {
		for _, path := range []string{"/v1/admin/coupons", "/v1/admin/vendors", "/v1/admin/events"} {
			a := newAPI(t)
			header := row.header
			if header == nil {
				header = jsonType
			}
			got := a.do(ask{method: http.MethodPost, path: path, token: "admin", body: row.body, header: header})
			require.Equal(t, row.status, got.status, "%s %s: %.200s", path, name, got.body)
			assert.Equal(t, row.code, got.code(), name)
			assert.Contains(t, got.detail(), row.names+": ", name)
			assert.Zero(t, a.written())
		}
	}
	a := newAPI(t)
	got := a.do(ask{method: http.MethodPost, path: "/v1/admin/vendors", token: "admin", body: ` {"name":"Kim"} `,
		header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}}})
	require.Equal(t, http.StatusCreated, got.status)
}

func manyFields() string {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `"f%d":1,`, i)
	}
	return "{" + b.String() + `"name":"a"}`
}

func TestABadIDIsNamedOnEveryPath(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, bad := range []string{
		"0", "-1", "+7", "007", "7.0", "7e0", "seven", "0x7", "9007199254740992", "9223372036854775808", "99999999999999999999999999",
		" 7", "7 ", "٧", strings.Repeat("7", 5000), "null", "7;8",
	} {
		for _, q := range []ask{
			{method: http.MethodGet, path: "/v1/coupons/" + bad},
			{method: http.MethodPost, path: "/v1/coupons/" + bad + "/issues", token: "alice"},
			{method: http.MethodGet, path: "/v1/coupons/" + bad + "/issues/me", token: "alice"},
			{method: http.MethodPatch, path: "/v1/admin/coupons/" + bad, token: "admin", body: `{"state":"paused","reason":"x"}`},
			{method: http.MethodPost, path: "/v1/admin/failed-events/" + bad + "/retry", token: "admin"},
		} {
			got := a.do(q)
			require.Equal(t, http.StatusBadRequest, got.status, "%s %.80s", q.method, q.path)
			assert.Contains(t, got.detail(), "id: ")
		}
	}
	assert.Zero(t, a.written())
}

func TestABadParameterIsNamed(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	ours := encodeCursor(couponsCursor, 7)
	for query, field := range map[string]string{
		"limit=0": "limit", "limit=101": "limit", "limit=-1": "limit", "limit=+5": "limit", "limit=05": "limit", "limit=1.5": "limit",
		"limit=": "limit", "limit=ten": "limit", "limit=99999999999999999999": "limit", "limit=5&limit=6": "limit",
		"cursor=": "cursor", "cursor=abc": "cursor", "cursor=" + ours + "x": "cursor", "cursor=" + ours[1:]: "cursor",
		"cursor=" + encodeCursor(failedCursor, 7): "cursor", "cursor=" + encodeCursor(couponsCursor, 0): "cursor",
		"cursor=" + encodeCursor(couponsCursor, 7, 7): "cursor", "cursor=" + strings.Repeat("A", 65): "cursor", "cursor=" + strings.Repeat("A", 60000): "cursor",
		"cursor=../../etc/passwd": "cursor", "cursor=%00": "cursor",
		"curser=" + ours: "curser", "limit=5;cursor=x": "query", "%zz=1": "query", "nth=1": "nth", strings.Repeat("x", 3000) + "=1": "xxx",
	} {
		got := a.do(ask{method: http.MethodGet, path: "/v1/coupons?" + query})
		require.Equal(t, http.StatusBadRequest, got.status, "%.80s", query)
		assert.Contains(t, got.detail(), field, "%.80s", query)
		assert.Less(t, len(got.body), 1000)
	}
	for query, field := range map[string]string{
		"nth=0": "nth", "nth=101": "nth", "nth=-1": "nth", "nth=01": "nth", "nth=x": "nth", "nth=": "nth", "limit=5": "limit",
	} {
		got := a.do(ask{method: http.MethodGet, path: "/v1/coupons/7/issues/me?" + query, token: "alice"})
		require.Equal(t, http.StatusBadRequest, got.status, query)
		assert.Contains(t, got.detail(), field+": ", query)
	}
	for query, field := range map[string]string{"reason=bad_luck": "reason", "status=lost": "status", "reason=": "reason"} {
		got := a.do(ask{method: http.MethodGet, path: "/v1/admin/failed-events?" + query, token: "admin"})
		require.Equal(t, http.StatusBadRequest, got.status, query)
		assert.Contains(t, got.detail(), field+": ", query)
	}
	got := a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues?key=1", token: "alice"})
	assert.Equal(t, http.StatusBadRequest, got.status)
	assert.Zero(t, a.written())
}

func TestAClaimTakesNoBodyButAnEmptyObject(t *testing.T) {
	t.Parallel()
	for body, status := range map[string]int{
		"{}": 202, " { } ": 202, "null": 400, "[]": 400, `{"user_id":"bob"}`: 400, "{}{}": 400, strings.Repeat(" ", 70<<10): 413, strings.Repeat("[", 20000): 400,
	} {
		a := newAPI(t)
		a.outcome = admitted(1)
		got := a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice", body: body})
		require.Equal(t, status, got.status, "%.40q %s", body, got.body)
		if status != http.StatusAccepted {
			assert.Zero(t, a.written())
		}
	}
	a := newAPI(t)
	got := a.do(ask{method: http.MethodPost, path: "/v1/coupons/7/issues", token: "alice", body: "{}", header: http.Header{"Content-Type": {"text/plain"}}})
	assert.Equal(t, http.StatusUnsupportedMediaType, got.status)
}

func TestABadChangeIsNamed(t *testing.T) {
	t.Parallel()
	for body, field := range map[string]string{
		`{"state":"paused"}`:                                                                  "reason",
		`{"state":"paused","reason":""}`:                                                      "reason",
		`{"state":"paused","reason":"  "}`:                                                    "reason",
		`{"state":"paused","reason":null}`:                                                    "reason",
		`{"state":"paused","reason":5}`:                                                       "reason",
		`{"state":"paused","reason":"a\u0007b"}`:                                              "reason",
		`{"state":"paused","reason":"` + strings.Repeat("x", 201) + `"}`:                      "reason",
		`{"reason":"nothing"}`:                                                                "body",
		`{"reason":"x","state":"scheduled"}`:                                                  "state",
		`{"reason":"x","state":null}`:                                                         "state",
		`{"reason":"x","state":5}`:                                                            "state",
		`{"reason":"x","total_quantity":0}`:                                                   "total_quantity",
		`{"reason":"x","total_quantity":1.5}`:                                                 "total_quantity",
		`{"reason":"x","total_quantity":9223372036854775808}`:                                 "total_quantity",
		`{"reason":"x","opens_at":null}`:                                                      "opens_at",
		`{"reason":"x","opens_at":"2026-02-30T00:00:00Z"}`:                                    "opens_at",
		`{"reason":"x","opens_at":"2026-11-21T00:00:00Z","closes_at":"2026-11-20T00:00:00Z"}`: "closes_at",
		`{"reason":"x","closes_at":"1999-01-01T00:00:00Z"}`:                                   "closes_at",
		`{"reason":"x","name":"another"}`:                                                     "name",
		`{"reason":"x","per_user_limit":2}`:                                                   "per_user_limit",
	} {
		a := newAPI(t)
		got := a.do(ask{method: http.MethodPatch, path: "/v1/admin/coupons/7", token: "admin", body: body})
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", body, got.body)
		assert.Contains(t, got.detail(), field+": ", body)
		assert.Zero(t, a.written())
	}
}
