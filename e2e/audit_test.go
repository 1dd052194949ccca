package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// The auditor is asked again and again while claims are served, some coupons sell out and others are changed: it may not
// take work in flight for a fault.
func TestVerifyFindsNothingWhileAStormClaims(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		event := s.Event(t)
		coupons := []int64{
			s.Coupon(t, map[string]any{"total_quantity": 300}), s.Coupon(t, nil),
			s.Coupon(t, map[string]any{"total_quantity": 5000, "per_user_limit": 3}),
			s.Coupon(t, map[string]any{"event_id": event, "total_quantity": 200}), s.Coupon(t, map[string]any{"event_id": event}),
		}
		ctx, stop := context.WithCancel(t.Context())
		var storm sync.WaitGroup
		var claims, accepted atomic.Int64
		for worker := range 8 {
			storm.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					id := coupons[(n+worker)%len(coupons)]
					answer, err := s.Claim(ctx, n, id, fmt.Sprintf("user-%d-%d", worker, n), fmt.Sprintf("key-%d", n))
					claims.Add(1)
					if err == nil && answer.Accepted() {
						accepted.Add(1)
					}
				}
			})
		}
		defer storm.Wait()
		defer stop()
		for round := range 3 {
			before := claims.Load()
			audit := s.Verify(t, "20s")
			require.Empty(t, audit.Findings, "round %d", round)
			require.Greater(t, claims.Load(), before, "it was a storm")
		}
		stop()
		storm.Wait()
		audit := s.Verify(t, "30s")
		require.Empty(t, audit.Findings)
		require.GreaterOrEqual(t, audit.LookedAt.Rows, accepted.Load())
		// Places whose claimants left may be journaled by the sweeper after that.
		require.LessOrEqual(t, audit.LookedAt.Rows, s.Count(t, "SELECT COUNT(*) FROM issues"))
		require.Positive(t, audit.LookedAt.Holders)
	})
}

// C7: records that nobody's gate gave take places in the database; the cap holds there too, and the auditor names who took
// them and who has nothing because of it. What a person then does, as the runbook says, puts everything right.
func TestPlantedRecordsNeverExceedTheCapAndAreNamed(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		const places, planted = 5, 3
		id := s.Coupon(t, map[string]any{"total_quantity": places})
		for n := range planted {
			user := fmt.Sprintf("mallory-%d", n)
			s.Produce(t, int32(n), user, fmt.Appendf(nil,
				`{"v":1,"coupon_id":%d,"user_id":%q,"nth":1,"seq":%d,"epoch":1,"accepted_at":%q}`, id, user, 100+n, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")))
		}
		rows := func() int64 { return s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", id) }
		stack.Eventually(t, drainWithin, func() bool { return rows() == planted }, "the planted records became rows")
		for n := range places {
			answer, err := s.Claim(t.Context(), n, id, fmt.Sprintf("honest-%d", n))
			require.NoError(t, err)
			require.True(t, answer.Accepted(), "%s", answer.Body)
		}
		displaced := func() int64 {
			return s.Count(t, "SELECT COUNT(DISTINCT user_id) FROM failed_events WHERE coupon_id = ? AND reason = 'over_cap'", id)
		}
		stack.Eventually(t, drainWithin, func() bool { return displaced() == planted }, "who has no place any more is a failed event")
		require.EqualValues(t, places, rows(), "never above the cap")

		audit := s.Verify(t, "5s")
		require.Len(t, audit.Users("displaced"), planted)
		for _, f := range audit.Findings {
			require.Contains(t, []string{"displaced", "gate_drift"}, f.Type, "%+v", f)
			require.Equal(t, id, f.Subject.Coupon)
			if f.Type == "displaced" {
				require.Contains(t, f.Subject.User, "honest")
				require.Contains(t, f.Evidence, "mallory-0 (record at partition 0 offset 0)")
			}
		}
		who := audit.Users("gate_drift")
		slices.Sort(who)
		require.Equal(t, []string{"mallory-0", "mallory-1", "mallory-2"}, who)

		// It is no repair's business to decide who keeps the places: the gate, which alone knows, is left alone.
		out, _, status := s.Batch(t, "reconcile", "--settle", "2s")
		require.Equal(t, 1, status, out)
		require.Contains(t, out, "a person decides first")
		require.EqualValues(t, places, s.Redis.HLen(t.Context(), fmt.Sprintf("fc:{c%d}:holders:%d", id, id)).Val())

		// The runbook's way: pause, raise, retry, rebuild, reopen.
		admin := s.Token("root", true)
		path := fmt.Sprintf("/v1/admin/coupons/%d", id)
		s.Must(t, http.StatusOK, http.MethodPatch, path, admin, map[string]any{"state": "paused", "reason": "planted records"})
		s.Must(t, http.StatusOK, http.MethodPatch, path, admin, map[string]any{"total_quantity": places + planted, "reason": "planted records"})
		stack.Eventually(t, 2*drainWithin, func() bool { return rows() == places+planted }, "the failed events are retried")
		out, errs, status := s.Batch(t, "rebuild", "--force", "--tag", fmt.Sprintf("c%d", id))
		require.Zero(t, status, out+errs)
		s.Must(t, http.StatusOK, http.MethodPatch, path, admin, map[string]any{"state": "open", "reason": "done"})
		require.Empty(t, s.Verify(t, "30s").Findings)
	})
}

// Each of the three books is spoiled by hand; one command puts them right.
func TestReconcileLeadsToACleanVerify(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		claimed := func(fields map[string]any, users int) int64 {
			id := s.Coupon(t, fields)
			for n := range users {
				answer, err := s.Claim(t.Context(), n, id, fmt.Sprintf("u%d", n), "key")
				require.NoError(t, err)
				require.True(t, answer.Accepted(), "%s", answer.Body)
			}
			stack.Eventually(t, drainWithin, func() bool {
				return s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", id) == int64(users)
			}, "all are issued")
			return id
		}
		exec := func(query string, args ...any) {
			_, err := s.SQL.ExecContext(t.Context(), query, args...)
			require.NoError(t, err)
		}
		key := func(what string, id int64) string { return fmt.Sprintf("fc:{c%d}:%s:%d", id, what, id) }
		counter, row, ghost, holder := claimed(nil, 3), claimed(map[string]any{"per_user_limit": 2}, 3), claimed(nil, 3), claimed(nil, 3)
		require.Empty(t, s.Verify(t, "20s").Findings)

		exec("UPDATE coupons SET issued_count = 7 WHERE id = ?", counter)
		exec("DELETE FROM issues WHERE coupon_id = ? AND user_id = 'u1'", row)
		exec(`INSERT INTO issues (coupon_id, user_id, nth, seq, epoch, status, accepted_at, issued_at)
			SELECT coupon_id, 'ghost', 1, 99, 1, 'issued', accepted_at, issued_at FROM issues WHERE coupon_id = ? AND user_id = 'u1'`, ghost)
		require.NoError(t, s.Redis.HDel(t.Context(), key("holders", holder), "u1").Err())
		require.NoError(t, s.Redis.HIncrBy(t.Context(), key("coupon", holder), "admitted", -1).Err())

		audit := s.Verify(t, "1s")
		types := map[string]int{}
		for _, f := range audit.Findings {
			types[f.Type]++
		}
		require.Equal(t, map[string]int{
			"counter_drift": 3, // the row that went and the one that came, too
			"lost_promise":  1, "ghost_row": 1, "gate_drift": 2,
		}, types, "%+v", audit.Findings)

		out, errs, status := s.Batch(t, "reconcile", "--settle", "20s")
		require.Zero(t, status, out+errs)
		require.Empty(t, s.Verify(t, "5s").Findings)
		require.EqualValues(t, 3, s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", row))
		require.EqualValues(t, 4, s.Count(t, "SELECT issued_count FROM coupons WHERE id = ?", ghost))
		answer, err := s.Claim(t.Context(), 0, holder, "u1")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.Status, "the same place again")
	})
}
