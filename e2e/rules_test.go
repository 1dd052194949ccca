package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// A user who asks for every coupon of an event at the same moment, at all apis, gets exactly one.
func TestOneCouponPerEvent(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		event := s.Event(t)
		vendor := s.Vendor(t)
		var coupons []int64
		for range 3 {
			coupons = append(coupons, s.Coupon(t, map[string]any{"event_id": event, "vendor_id": vendor, "total_quantity": 50}))
		}
		const users = 40
		won := make([]map[int64]int, users)
		var all sync.WaitGroup
		var mu sync.Mutex
		for u := range users {
			won[u] = map[int64]int{}
			for i, coupon := range coupons {
				all.Go(func() {
					a, err := s.Claim(t.Context(), i, coupon, fmt.Sprintf("u-%d", u))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					if a.Accepted() {
						won[u][coupon]++
					} else if a.Code() != "event_limit" {
						t.Errorf("%d %s", a.Status, a.Body)
					}
				})
			}
		}
		all.Wait()
		for u, coupons := range won {
			require.Len(t, coupons, 1, "user %d", u)
		}
		stack.Eventually(t, drainWithin, func() bool {
			return s.Count(t, "SELECT COUNT(*) FROM issues WHERE event_id = ?", event) == users
		}, "a row for each user")
		require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM failed_events"))
	})
}

// With a limit of three, three different keys get three places, the same key always its own, a fourth is refused, and a
// claim without a key is told what is missing.
func TestPerUserLimitAboveOne(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		coupon := s.Coupon(t, map[string]any{"per_user_limit": 3, "total_quantity": 100})
		claim := func(key string) stack.Answer {
			a, err := s.Claim(t.Context(), 0, coupon, "alice", key)
			require.NoError(t, err)
			return a
		}
		a, err := s.Claim(t.Context(), 0, coupon, "alice")
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, a.Status)
		require.Equal(t, "invalid_request", a.Code())
		require.Contains(t, string(a.Body), "Idempotency-Key")
		first := claim("one")
		require.Equal(t, http.StatusAccepted, first.Status, "%s", first.Body)
		require.Equal(t, 1, first.Receipt(t).Nth)
		again := claim("one")
		require.Equal(t, http.StatusOK, again.Status)
		require.Equal(t, first.Receipt(t), again.Receipt(t))
		require.Equal(t, 2, claim("two").Receipt(t).Nth)
		require.Equal(t, 3, claim("three").Receipt(t).Nth)
		require.Equal(t, "user_limit", claim("four").Code())
		require.Equal(t, first.Receipt(t), claim("one").Receipt(t))
		stack.Eventually(t, drainWithin, func() bool {
			return s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ? AND user_id = 'alice'", coupon) == 3
		}, "three rows")
	})
}

// alice and Alice are two users from the gate to the ledger.
func TestUsersCompareByteForByte(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		coupon := s.Coupon(t, map[string]any{"total_quantity": 2})
		for _, user := range []string{"alice", "Alice"} {
			a, err := s.Claim(t.Context(), 0, coupon, user)
			require.NoError(t, err)
			require.Equal(t, http.StatusAccepted, a.Status, "%s: %s", user, a.Body)
		}
		stack.Eventually(t, drainWithin, func() bool {
			return s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", coupon) == 2
		}, "two rows")
	})
}

// A user sees the claim become an issue, and their own coupons only.
func TestUserSeesTheirClaim(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		coupon := s.Coupon(t, map[string]any{"total_quantity": 5, "valid_for_days": 30})
		mine := fmt.Sprintf("/v1/coupons/%d/issues/me", coupon)
		ann := s.Token("ann", false)
		require.Equal(t, "no_issue", s.Must(t, http.StatusNotFound, http.MethodGet, mine, ann, nil).Code())
		_, err := s.Claim(t.Context(), 0, coupon, "ann")
		require.NoError(t, err)
		status := s.Must(t, http.StatusOK, http.MethodGet, mine, ann, nil).JSON(t)["status"]
		require.Contains(t, []any{"accepted", "issued"}, status)
		stack.Eventually(t, drainWithin, func() bool {
			return s.Must(t, http.StatusOK, http.MethodGet, mine, ann, nil).JSON(t)["status"] == "issued"
		}, "issued")
		items := s.Must(t, http.StatusOK, http.MethodGet, "/v1/me/issues", ann, nil).JSON(t)["items"].([]any)
		require.Len(t, items, 1)
		require.Empty(t, s.Must(t, http.StatusOK, http.MethodGet, "/v1/me/issues", s.Token("bob", false), nil).JSON(t)["items"])
		c := s.Must(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/v1/coupons/%d", coupon), "", nil).JSON(t)
		require.EqualValues(t, 4, c["remaining"])
		require.Equal(t, "open", c["state"])
	})
}

// What an admin changes while the sale runs holds at every api: pause, reopen, raise, lower, close.
func TestChangesWhileTheSaleRuns(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		coupon := s.Coupon(t, map[string]any{"total_quantity": 2})
		path := fmt.Sprintf("/v1/admin/coupons/%d", coupon)
		root := s.Token("root", true)
		patch := func(status int, body map[string]any) stack.Answer {
			return s.Must(t, status, http.MethodPatch, path, root, body)
		}
		next := 0
		claim := func() string {
			next++
			a, err := s.Claim(t.Context(), next, coupon, fmt.Sprintf("u-%d", next))
			require.NoError(t, err)
			if a.Accepted() {
				return "accepted"
			}
			return a.Code()
		}
		soon := func(code, why string) {
			stack.Eventually(t, 5*time.Second, func() bool { return claim() == code }, "%s", why)
		}
		require.Equal(t, "invalid_request", patch(http.StatusBadRequest, map[string]any{"state": "paused"}).Code(), "a reason is needed")
		require.Equal(t, "accepted", claim())
		patch(http.StatusOK, map[string]any{"state": "paused", "reason": "a word with the vendor"})
		for range s.APIs {
			require.Equal(t, "paused", claim(), "a pause holds at once, everywhere")
		}
		patch(http.StatusOK, map[string]any{"state": "open", "reason": "agreed"})
		soon("accepted", "reopened")
		soon("sold_out", "two places")
		require.Equal(t, "below_issued", patch(http.StatusConflict, map[string]any{"total_quantity": 1, "reason": "too late"}).Code())
		patch(http.StatusOK, map[string]any{"total_quantity": 4, "reason": "more"})
		raised := time.Now()
		soon("accepted", "raised")
		require.Less(t, time.Since(raised), 3*time.Second)
		soon("sold_out", "four places")
		patch(http.StatusOK, map[string]any{"total_quantity": nil, "reason": "for everybody"})
		soon("accepted", "unlimited")
		patch(http.StatusOK, map[string]any{"state": "closed", "reason": "enough"})
		require.Equal(t, "closed", claim())
		patch(http.StatusOK, map[string]any{"state": "open", "reason": "not yet"})
		soon("accepted", "closed may be reopened")
		// Two at once: each answer is 200 or superseded, at least one is 200, and gate and ledger agree.
		for range 5 {
			var both sync.WaitGroup
			codes := make([]int, 2)
			for i := range 2 {
				both.Go(func() {
					a, err := s.Do(t.Context(), i, http.MethodPatch, path, root, map[string]any{
						"total_quantity": 1000 + 100*i, "state": []string{"paused", "open"}[i], "reason": "two at once"})
					if err != nil {
						t.Error(err)
						return
					}
					codes[i] = a.Status
					if a.Status != http.StatusOK && a.Code() != "superseded" {
						t.Errorf("%d %s", a.Status, a.Body)
					}
				})
			}
			both.Wait()
			require.Contains(t, codes, http.StatusOK)
		}
		var total int64
		var state string
		require.NoError(t, s.SQL.QueryRowContext(t.Context(), "SELECT total_quantity, state FROM coupons WHERE id = ?", coupon).
			Scan(&total, &state))
		want := map[string]string{"open": "accepted", "paused": "paused"}[state]
		soon(want, "the gate agrees with the ledger")
		got := s.Must(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/v1/coupons/%d", coupon), "", nil).JSON(t)
		require.EqualValues(t, total, got["total_quantity"])
		require.Positive(t, s.Count(t, "SELECT COUNT(*) FROM coupon_changes WHERE coupon_id = ? AND reason = 'agreed'", coupon))
	})
}
