package httpapi

import (
	"cmp"
	"context"
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
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/api/internal/auth"
	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/publish"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hostNow is the host's clock, an hour ahead of the gate's: the two can be told apart in every answer.
var (
	gateNow = time.Date(2026, 11, 20, 12, 0, 0, 123_000, time.UTC)
	hostNow = gateNow.Add(time.Hour)
)

// world is what the handlers ask, all of it in memory. A test sets what it needs before it asks.
type world struct {
	mu sync.Mutex

	coupons map[int64]coupon.Coupon
	refs    map[int64]coupon.Ref // else made of coupons
	rows    []coupon.Issue
	failed  map[int64]coupon.FailedEvent
	views   map[int64]coupon.ViewAnswer
	held    map[string]holding // by user
	outcome admission.Outcome
	err     error // of the ledger
	gateErr error // of claims and holders
	pubErr  error

	claims    []string // coupon/user/key
	published []coupon.Coupon
	events    []coupon.Event
	vendors   []string
	changes   []publish.ChangeRequest
	requeued  []int64
	unsound   []coupon.UnsoundError
	refreshes int
	viewCalls int
	panics    bool
}

func (w *world) lock() func() { w.mu.Lock(); return w.mu.Unlock }

// written is how much the handlers changed or asked to be changed.
func (w *world) written() int {
	defer w.lock()()
	return len(w.claims) + len(w.published) + len(w.events) + len(w.vendors) + len(w.changes) + len(w.requeued)
}

func (w *world) Claim(_ context.Context, couponID int64, userID, key string) (admission.Outcome, error) {
	defer w.lock()()
	if w.panics {
		panic("secret of the inside")
	}
	if _, there := w.coupons[couponID]; !there {
		return admission.Outcome{}, coupon.ErrNotFound
	}
	w.claims = append(w.claims, strings.Join([]string{json.Number(id(couponID)).String(), userID, key}, "/"))
	return w.outcome, w.gateErr
}

func (w *world) Views(_ context.Context, refs []coupon.Ref) []coupon.ViewAnswer {
	defer w.lock()()
	w.viewCalls++
	answers := make([]coupon.ViewAnswer, len(refs))
	for i, ref := range refs {
		answer, there := w.views[ref.CouponID]
		if !there {
			answer.Err = &coupon.UnsoundError{Tag: ref.Tag, Why: coupon.WhyNoGate}
		}
		if len(ref.Siblings) == 0 {
			answer = coupon.ViewAnswer{Err: &coupon.UnsoundError{Tag: ref.Tag, Why: coupon.WhyCoupons}}
		}
		answers[i] = answer
	}
	return answers
}

func (w *world) Holder(_ context.Context, ref coupon.Ref, userID string, nth int) (coupon.Place, coupon.Verdict, error) {
	defer w.lock()()
	if len(ref.Siblings) == 0 {
		return coupon.Place{}, 0, &coupon.UnsoundError{Tag: ref.Tag, Why: coupon.WhyCoupons}
	}
	if w.gateErr != nil {
		return coupon.Place{}, 0, w.gateErr
	}
	h := w.held[userID]
	if nth != 0 && h.place.Nth != nth {
		return coupon.Place{}, 0, nil
	}
	return h.place, h.verdict, h.err
}

func (w *world) Ref(_ context.Context, couponID int64) (coupon.Ref, error) {
	defer w.lock()()
	if ref, there := w.refs[couponID]; there {
		return ref, nil
	}
	return w.fresh(couponID)
}

func (w *world) Refresh(_ context.Context, couponID int64) (coupon.Ref, error) {
	defer w.lock()()
	w.refreshes++
	return w.fresh(couponID)
}

func (w *world) fresh(couponID int64) (coupon.Ref, error) {
	c, there := w.coupons[couponID]
	if !there {
		return coupon.Ref{}, cmp.Or(w.err, coupon.ErrNotFound)
	}
	return c.Ref([]int64{c.ID}), nil
}

func (w *world) Coupon(_ context.Context, couponID int64) (coupon.Coupon, error) {
	defer w.lock()()
	c, there := w.coupons[couponID]
	if w.err != nil || !there {
		return coupon.Coupon{}, cmp.Or(w.err, coupon.ErrNotFound)
	}
	return c, nil
}

func (w *world) Coupons(_ context.Context, afterID int64, limit int) ([]coupon.Coupon, error) {
	defer w.lock()()
	var found []coupon.Coupon
	for _, c := range w.coupons {
		if c.ID > afterID {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b coupon.Coupon) int { return cmp.Compare(a.ID, b.ID) })
	return found[:min(limit, len(found))], w.err
}

func (w *world) Issue(_ context.Context, couponID int64, userID string, nth int) (coupon.Issue, error) {
	defer w.lock()()
	var latest coupon.Issue
	for _, row := range w.rows {
		if row.CouponID == couponID && row.UserID == userID && (nth == row.Nth || nth == 0 && row.Nth > latest.Nth) {
			latest = row
		}
	}
	if latest.Nth == 0 {
		return coupon.Issue{}, cmp.Or(w.err, coupon.ErrNotFound)
	}
	return latest, w.err
}

func (w *world) IssuesOf(_ context.Context, userID string, after IssueKey, limit int) ([]coupon.Issue, error) {
	defer w.lock()()
	var found []coupon.Issue
	for _, row := range w.rows {
		if row.UserID == userID && (after == IssueKey{} || row.AcceptedAt.Before(after.AcceptedAt)) {
			found = append(found, row)
		}
	}
	slices.SortFunc(found, func(a, b coupon.Issue) int { return b.AcceptedAt.Compare(a.AcceptedAt) })
	return found[:min(limit, len(found))], w.err
}

func (w *world) FailedOf(_ context.Context, couponID int64, userID string) (coupon.FailedEvent, error) {
	defer w.lock()()
	for _, e := range w.failed {
		if e.CouponID == couponID && e.UserID == userID {
			return e, nil
		}
	}
	return coupon.FailedEvent{}, cmp.Or(w.err, coupon.ErrNotFound)
}

func (w *world) FailedEvents(_ context.Context, afterID int64, limit int, reason coupon.FailReason, status coupon.FailedStatus) ([]coupon.FailedEvent, error) {
	defer w.lock()()
	var found []coupon.FailedEvent
	for _, e := range w.failed {
		if e.ID > afterID && (reason == "" || reason == e.Reason) && (status == "" || status == e.Status) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b coupon.FailedEvent) int { return cmp.Compare(a.ID, b.ID) })
	return found[:min(limit, len(found))], w.err
}

func (w *world) RequeueFailed(_ context.Context, failedID int64) error {
	defer w.lock()()
	if _, there := w.failed[failedID]; !there {
		return coupon.ErrNotFound
	}
	w.requeued = append(w.requeued, failedID)
	return w.err
}

// publisher is world's other face: its Coupon has another meaning.
type publisher struct{ *world }

func (p publisher) Vendor(_ context.Context, name string) (int64, error) {
	defer p.lock()()
	if p.pubErr == nil {
		p.vendors = append(p.vendors, name)
	}
	return 900, p.pubErr
}

func (p publisher) Event(_ context.Context, e coupon.Event) (coupon.Event, error) {
	defer p.lock()()
	if !e.StartsAt.Before(e.EndsAt) {
		return e, &coupon.FieldError{Field: "ends_at", Detail: "must be later than starts_at"}
	}
	if !coupon.ValidName(e.Name) {
		return e, badName()
	}
	if p.pubErr == nil {
		p.events = append(p.events, e)
	}
	e.ID = 901
	return e, p.pubErr
}

func (p publisher) Coupon(_ context.Context, c coupon.Coupon) (coupon.Coupon, error) {
	defer p.lock()()
	if p.pubErr != nil {
		return c, p.pubErr
	}
	p.published = append(p.published, c)
	c.ID, c.CreatedAt = 902, hostNow
	p.coupons[c.ID] = c
	return c, nil
}

func (p publisher) Change(_ context.Context, couponID int64, change publish.ChangeRequest) (coupon.Coupon, error) {
	defer p.lock()()
	c, there := p.coupons[couponID]
	if !there {
		return c, coupon.ErrNotFound
	}
	if p.pubErr == nil {
		p.changes = append(p.changes, change)
	}
	return c, p.pubErr
}

// users are tokens by their names: "alice" is alice's, "admin" an admin's.
type users struct{ err error }

func (u users) Verify(_ context.Context, token string) (auth.User, error) {
	if u.err != nil {
		return auth.User{}, u.err
	}
	if token == "expired" {
		return auth.User{}, &auth.RefusedError{Detail: "exp: the token has expired"}
	}
	return auth.User{ID: token, Admin: token == "admin"}, nil
}

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
