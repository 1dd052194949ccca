package api_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A crowd of 2,000 on 400 places at two apis, a tenth of it asking twice at the same moment. Not parallel: it takes the whole machine.
func TestAStormGivesExactlyTheCapAndTheSameReceiptForEver(t *testing.T) {
	const users, places = 2000, 400
	s := startServers(t)
	s.migrate(t)
	apis := []*running{s.run(t), s.run(t)}
	id := apis[0].coupon(apis[0].vendor(), "coffee", fmt.Sprintf(`"total_quantity":%d`, places))

	var mu sync.Mutex
	receipts := map[string]answer{}
	refused := 0
	take := func(user string, got answer) {
		mu.Lock()
		defer mu.Unlock()
		switch got.status {
		case http.StatusAccepted, http.StatusOK:
			if earlier, twice := receipts[user]; twice {
				assert.Equal(t, earlier.doc, got.doc, "both askers of one user")
			}
			receipts[user] = got
		default:
			assert.Equal(t, "sold_out", got.code(), "%s: %v", user, got.doc)
			refused++
		}
	}
	crowd(users, func(i int) {
		user := fmt.Sprintf("u-%d", i)
		if i%10 == 0 {
			var twin sync.WaitGroup
			twin.Go(func() { take(user, apis[1].claim(id, user)) })
			defer twin.Wait()
		}
		take(user, apis[i%2].claim(id, user))
	})
	require.Len(t, receipts, places)
	seqs := map[int64]bool{}
	for user, got := range receipts {
		seqs[got.seq()] = true
		assert.Equal(t, user, got.doc["user_id"])
		assert.LessOrEqual(t, got.seq(), int64(places))
	}
	assert.Len(t, seqs, places, "numbers are all different")

	journaled := map[string]int64{}
	for _, records := range s.places(t) {
		for _, r := range records {
			journaled[r.Place.UserID] = r.Place.Seq
		}
	}
	require.Len(t, journaled, places)
	s.consume(t)
	for user, got := range receipts {
		assert.Equal(t, got.seq(), journaled[user])
	}
	for user, got := range receipts {
		again := apis[0].claim(id, user)
		require.Equal(t, http.StatusOK, again.status)
		require.Equal(t, got.doc, again.doc)
		issue := apis[1].must(http.MethodGet, fmt.Sprintf("/v1/coupons/%d/issues/me", id), token(t, user), "")
		require.Equal(t, "issued", issue.doc["status"])
		require.Equal(t, got.doc["seq"], issue.doc["seq"])
	}
	shown := apis[0].must(http.MethodGet, fmt.Sprintf("/v1/coupons/%d", id), "", "")
	assert.Equal(t, "sold_out", shown.doc["state"])
	assert.EqualValues(t, 0, shown.doc["remaining"])
	stored, err := s.book.Coupon(t.Context(), id)
	require.NoError(t, err)
	assert.EqualValues(t, places, stored.IssuedCount)
}

// Not parallel: it takes the whole machine.
func TestManyCouponsArePublishedAtOnce(t *testing.T) {
	s := startServers(t)
	s.migrate(t)
	r := s.run(t)
	vendor := r.vendor()
	const names = 50
	crowd(2*names, func(i int) { // two for each name
		body := fmt.Sprintf(`{"name":"coupon %d","vendor_id":%d,"opens_at":"2026-01-01T00:00:00Z","closes_at":"2999-01-01T00:00:00Z"}`, i/2, vendor)
		got, err := r.ask(http.MethodPost, "/v1/admin/coupons", token(t, "boss", "admin"), body)
		if !assert.NoError(t, err) {
			return
		}
		switch got.status {
		case http.StatusCreated:
			claim := r.claim(got.id(), "alice")
			assert.True(t, claim.won(), "open when the answer comes: %v", claim.doc)
		case http.StatusServiceUnavailable:
			assert.Contains(t, got.doc["detail"], "It is published and will open by itself", "a busy machine")
		default:
			assert.Equal(t, "name_taken", got.code(), "%v", got.doc)
		}
	})
	seen := map[any]bool{}
	page := r.must(http.MethodGet, "/v1/coupons?limit=100", "", "")
	for _, item := range page.doc["items"].([]any) {
		published := item.(map[string]any)
		seen[published["name"]] = true
		assert.True(t, r.claim(int64(published["id"].(float64)), "alice").won())
	}
	assert.Len(t, seen, names)
	assert.Len(t, page.doc["items"], names)
	r.admin(http.MethodPost, "/v1/admin/vendors", `{"name":"Kim"}`, http.StatusConflict)
}
