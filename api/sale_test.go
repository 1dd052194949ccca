package api_test

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// eventually waits for a claim of a new user to get a place, at most a second: nobody may refuse on an old state for
// longer.
func (r *running) eventually(couponID int64, prefix string) {
	r.t.Helper()
	n := 0
	require.Eventually(r.t, func() bool {
		n++
		return r.claim(couponID, fmt.Sprintf("%s-%d", prefix, n)).won()
	}, time.Second, 5*time.Millisecond)
}

func TestASaleChangesWhileItRuns(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	r := s.run(t)
	id := r.coupon(r.vendor(), "coffee", `"total_quantity":2`)
	require.True(t, r.claim(id, "alice").won())
	require.True(t, r.claim(id, "Alice").won(), "another user")
	require.Equal(t, "sold_out", r.claim(id, "bob").code())

	got := r.change(id, `"total_quantity":1`, http.StatusConflict)
	assert.Equal(t, "below_issued", got.code(), "admitted counts, though nothing is written yet")
	got = r.change(id, `"total_quantity":4`, http.StatusOK)
	assert.EqualValues(t, 4, got.doc["total_quantity"])
	r.eventually(id, "raised")

	r.change(id, `"state":"paused"`, http.StatusOK)
	assert.Equal(t, "paused", r.claim(id, "carol").code(), "at once")
	assert.Equal(t, http.StatusOK, r.claim(id, "alice").status, "a winner keeps the receipt")
	assert.Equal(t, "paused", r.must(http.MethodGet, fmt.Sprintf("/v1/coupons/%d", id), "", "").doc["state"])
	r.change(id, `"state":"open"`, http.StatusOK)
	r.eventually(id, "reopened")
	assert.Equal(t, "sold_out", r.claim(id, "dave").code())

	closed := fmt.Sprintf(`"closes_at":%q`, time.Now().Add(-time.Second).UTC().Format(time.RFC3339Nano))
	r.change(id, closed, http.StatusOK)
	got = r.claim(id, "erin")
	assert.Equal(t, http.StatusGone, got.status)
	assert.Equal(t, "closed", got.code())
	r.change(id, `"total_quantity":null,"closes_at":"2999-01-01T00:00:00Z"`, http.StatusOK)
	r.eventually(id, "unlimited")
	assert.Nil(t, r.must(http.MethodGet, fmt.Sprintf("/v1/coupons/%d", id), "", "").doc["remaining"])
}

func TestTwoChangesAtOnceEndWithOneOfThem(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	r := s.run(t)
	id := r.coupon(r.vendor(), "coffee", `"total_quantity":100`)
	var mu sync.Mutex
	answers := map[int]int{}
	crowd(16, func(i int) {
		got, err := r.ask(http.MethodPatch, fmt.Sprintf("/v1/admin/coupons/%d", id), token(t, "boss", "admin"),
			fmt.Sprintf(`{"total_quantity":%d,"reason":"at once"}`, 90+i))
		assert.NoError(t, err)
		assert.Contains(t, []int{http.StatusOK, http.StatusConflict}, got.status, "%v", got.doc)
		mu.Lock()
		defer mu.Unlock()
		answers[got.status]++
	})
	assert.NotZero(t, answers[http.StatusOK])
	var total any
	require.Eventually(t, func() bool {
		shown := r.must(http.MethodGet, fmt.Sprintf("/v1/coupons/%d", id), "", "")
		total = shown.doc["total_quantity"]
		return shown.doc["remaining"] == total
	}, 2*time.Second, 10*time.Millisecond, "gate and ledger agree in the end: %v", total)
}

func TestSeveralPlacesOfOneUserAreNamedByKeys(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	r := s.run(t)
	id := r.coupon(r.vendor(), "coffee", `"per_user_limit":2`)
	for _, header := range [][]string{nil, {"Idempotency-Key", "not valid!"}, {"Idempotency-Key", ""}} {
		got := r.claim(id, "alice", header...)
		assert.Equal(t, http.StatusBadRequest, got.status)
		assert.Contains(t, got.doc["detail"], "Idempotency-Key: ")
	}
	first := r.claim(id, "alice", "Idempotency-Key", "a")
	require.True(t, first.won())
	again := r.claim(id, "alice", "Idempotency-Key", "a")
	assert.Equal(t, http.StatusOK, again.status)
	assert.Equal(t, first.doc, again.doc)
	second := r.claim(id, "alice", "Idempotency-Key", "b")
	assert.EqualValues(t, 2, second.doc["nth"])
	assert.Equal(t, "user_limit", r.claim(id, "alice", "Idempotency-Key", "c").code())

	me := fmt.Sprintf("/v1/coupons/%d/issues/me", id)
	assert.EqualValues(t, 2, r.must(http.MethodGet, me, token(t, "alice"), "").doc["nth"])
	assert.Equal(t, "accepted", r.must(http.MethodGet, me+"?nth=1", token(t, "alice"), "").doc["status"])
	assert.Equal(t, "no_issue", r.must(http.MethodGet, me, token(t, "bob"), "").code())
	s.consume(t)
	assert.Equal(t, "issued", r.must(http.MethodGet, me+"?nth=1", token(t, "alice"), "").doc["status"])
	mine := r.must(http.MethodGet, "/v1/me/issues", token(t, "alice"), "")
	assert.Len(t, mine.doc["items"], 2)
}

func TestAMissingKeyIsAnsweredAsTheDocumentShows(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	r := s.run(t)
	document, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	got := r.claim(r.coupon(r.vendor(), "coffee", `"per_user_limit":3`), "alice")
	assert.Equal(t, http.StatusBadRequest, got.status)
	assert.Contains(t, string(document), fmt.Sprintf("detail: '%s'\n", got.doc["detail"]))
	assert.Contains(t, string(document), fmt.Sprintf("detail_ko: '%s'\n", got.doc["detail_ko"]))
}

func TestOneCouponOfAnEvent(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.migrate(t)
	r := s.run(t)
	vendor := r.vendor()
	event := r.admin(http.MethodPost, "/v1/admin/events", `{"name":"week","starts_at":"2026-01-01T00:00:00Z","ends_at":"2999-01-01T00:00:00Z"}`, http.StatusCreated).id()
	of := fmt.Sprintf(`"event_id":%d`, event)
	first := r.coupon(vendor, "coffee", of)
	require.True(t, r.claim(first, "alice").won())
	second := r.coupon(vendor, "tea", of)
	assert.Equal(t, "event_limit", r.claim(second, "alice").code())
	assert.True(t, r.claim(second, "bob").won())
	assert.Equal(t, http.StatusOK, r.claim(first, "alice").status)
	got := r.admin(http.MethodPost, "/v1/admin/coupons", fmt.Sprintf(
		`{"name":"x","vendor_id":%d,"event_id":%d,"per_user_limit":2,"opens_at":"2026-01-01T00:00:00Z","closes_at":"2999-01-01T00:00:00Z"}`, vendor, event), http.StatusBadRequest)
	assert.Contains(t, got.doc["detail"], "per_user_limit: ")
	for body, code := range map[string]string{
		fmt.Sprintf(`{"name":"x","vendor_id":%d,"opens_at":"2026-01-01T00:00:00Z","closes_at":"2999-01-01T00:00:00Z"}`, vendor+1):                      "vendor_not_found",
		fmt.Sprintf(`{"name":"x","vendor_id":%d,"event_id":%d,"opens_at":"2026-01-01T00:00:00Z","closes_at":"2999-01-01T00:00:00Z"}`, vendor, event+1): "event_not_found",
	} {
		assert.Equal(t, code, r.admin(http.MethodPost, "/v1/admin/coupons", body, http.StatusNotFound).code())
	}
}
