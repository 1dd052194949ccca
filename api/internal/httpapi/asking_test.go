package httpapi

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// api is the handler around a world, and the document that every answer is held against.
type api struct {
	t testing.TB
	*world
	handler *handler
	doc     *openapi3.T
	raw     []byte
}

// document is read once; nobody changes it.
var document = sync.OnceValues(func() (*openapi3.T, []byte) {
	raw, err := os.ReadFile("../../openapi.yaml")
	if err != nil {
		panic(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		panic(err)
	}
	return doc, raw
})

func newAPI(t testing.TB, change ...func(*Deps)) *api {
	t.Helper()
	doc, raw := document()
	w := &world{
		coupons: map[int64]coupon.Coupon{}, refs: map[int64]coupon.Ref{}, failed: map[int64]coupon.FailedEvent{},
		views: map[int64]coupon.ViewAnswer{}, held: map[string]holding{},
	}
	w.coupons[7] = sale(7)
	deps := Deps{
		Claims: w, Gate: w, Refs: w, Coupons: w, Issues: w, Publisher: publisher{w}, Failed: w, Tokens: users{},
		NthOf:     func(payload []byte) int { return len(payload) },
		OnUnsound: func(e coupon.UnsoundError) { defer w.lock()(); w.unsound = append(w.unsound, e) },
		Document:  raw, Deadline: time.Minute, Now: func() time.Time { return hostNow },
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
	for _, c := range change {
		c(&deps)
	}
	h, err := newHandler(deps)
	require.NoError(t, err)
	return &api{t: t, world: w, handler: h, doc: doc, raw: raw}
}

// sale is a coupon of 100 places that is open by both clocks.
func sale(couponID int64) coupon.Coupon {
	total := int64(100)
	return coupon.Coupon{
		ID: couponID, VendorID: 900, Name: "coffee", Kind: coupon.FirstComeIssue, PerUserLimit: 1,
		Terms: coupon.Terms{
			Total: &total, State: coupon.StateOpen,
			OpensAt: gateNow.Add(-time.Hour), ClosesAt: gateNow.Add(24 * time.Hour),
		},
		CreatedAt: gateNow.Add(-2 * time.Hour),
	}
}

// ask is one request.
type ask struct {
	method, path string
	token        string // "" sends none
	body         string
	header       http.Header
}

type reply struct {
	status int
	header http.Header
	body   []byte
	doc    map[string]any // the body, where it is JSON
}

func (r reply) code() string { code, _ := r.doc["code"].(string); return code }

func (r reply) detail() string { detail, _ := r.doc["detail"].(string); return detail }

// do asks the real router and holds the answer against the document.
func (a *api) do(q ask) reply {
	a.t.Helper()
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	r := httptest.NewRequestWithContext(a.t.Context(), q.method, "http://api.test/", body)
	path, query, _ := strings.Cut(q.path, "?")
	r.URL.Path, r.URL.RawQuery = path, query
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	got := reply{status: w.Code, header: w.Header(), body: w.Body.Bytes()}
	if strings.HasSuffix(got.header.Get("Content-Type"), "json") {
		require.NoError(a.t, json.Unmarshal(got.body, &got.doc), "%s", got.body)
	}
	a.compare(q, got)
	return got
}

// compare fails the test when the answer is not one that the document allows for this call.
func (a *api) compare(q ask, got reply) {
	a.t.Helper()
	require.NotEmpty(a.t, got.header.Get("X-Request-Id"))
	require.Equal(a.t, "nosniff", got.header.Get("X-Content-Type-Options"))
	if got.status == http.StatusNoContent || got.header.Get("Content-Type") == "application/yaml" {
		return
	}
	schema := a.doc.Components.Schemas["Problem"].Value
	if got.status < http.StatusBadRequest {
		schema = a.operation(q).Responses.Status(got.status).Value.Content["application/json"].Schema.Value
	} else {
		require.Equal(a.t, "application/problem+json", got.header.Get("Content-Type"))
		if op := a.operation(q); op != nil && !general(got.code()) {
			listed := op.Responses.Status(got.status)
			require.NotNil(a.t, listed, "%s %s does not list %d %s", q.method, q.path, got.status, got.code())
			require.Contains(a.t, *listed.Value.Description, got.code())
		}
	}
	require.NoError(a.t, schema.VisitJSON(got.doc), "%s", got.body)
}

// general says whether any path may answer with this code.
func general(code string) bool {
	return slices.Contains([]string{"not_found", "method_not_allowed", "body_too_large", "unsupported_media_type", "internal_error", "unavailable"}, code)
}

// operation is the document's for a request; nil: none.
func (a *api) operation(q ask) *openapi3.Operation {
	path, _, _ := strings.Cut(q.path, "?")
	method := q.method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, template := range a.doc.Paths.InMatchingOrder() {
		if matches(template, path) {
			return a.doc.Paths.Value(template).GetOperation(method)
		}
	}
	return nil
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return len(want) == len(got) && !slices.ContainsFunc(want, func(part string) bool {
		i := slices.Index(want, part)
		return part != got[i] && !strings.HasPrefix(part, "{")
	})
}

func id(n int64) string { b, _ := json.Marshal(n); return string(b) }
