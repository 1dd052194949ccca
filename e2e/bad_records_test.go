package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// Records that no program of ours wrote: each becomes one failed event with its reason, its place and what it said; the
// good record behind them becomes a row; nobody is over-issued.
func TestBadRecordsBecomeFailedEventsAndTheirNeighboursAreWritten(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		coupon := s.Coupon(t, map[string]any{"total_quantity": 1})
		record := func(change func(map[string]any)) string {
			r := map[string]any{
				"v": 1, "coupon_id": coupon, "user_id": "mallory", "nth": 1, "seq": 1, "epoch": 1,
				"accepted_at": "2026-11-20T12:00:00.000123Z",
			}
			change(r)
			text, err := json.Marshal(r)
			require.NoError(t, err)
			return string(text)
		}
		bad := []struct{ name, value, reason string }{
			{"not JSON", "hello", "undecodable"},
			{"nothing", "", "undecodable"},
			{"null", "null", "undecodable"},
			{"unknown version", record(func(r map[string]any) { r["v"] = 99 }), "unknown_version"},
			{"unknown coupon", record(func(r map[string]any) { r["coupon_id"] = 4711 }), "unknown_coupon"},
			{"negative number", record(func(r map[string]any) { r["seq"] = -1 }), "undecodable"},
			{"fraction", record(func(r map[string]any) { r["seq"] = 1.5 }), "undecodable"},
			{"beyond 64 bits", strings.Replace(record(func(map[string]any) {}), `"seq":1`, `"seq":99999999999999999999`, 1), "undecodable"},
			{"epoch 0", record(func(r map[string]any) { r["epoch"] = 0 }), "undecodable"},
			{"nth 101", record(func(r map[string]any) { r["nth"] = 101 }), "undecodable"},
			{"bad user", record(func(r map[string]any) { r["user_id"] = "mal lory" }), "undecodable"},
			{"bad time", record(func(r map[string]any) { r["accepted_at"] = "yesterday" }), "undecodable"},
			{"200 kB", record(func(r map[string]any) { r["user_id"] = strings.Repeat("x", 200_000) }), "undecodable"},
			{"future epoch", record(func(r map[string]any) { r["epoch"] = 77 }), "future_epoch"},
		}
		const partition = 0
		for _, b := range bad {
			s.Produce(t, partition, "mallory", []byte(b.value))
		}
		// Two good ones on the same partition: the first takes the only place, the ledger's guard refuses the second.
		s.Produce(t, partition, "first", []byte(record(func(r map[string]any) { r["user_id"] = "first" })))
		s.Produce(t, partition, "second", []byte(record(func(r map[string]any) { r["user_id"], r["seq"] = "second", 2 })))

		stack.Eventually(t, drainWithin, func() bool {
			return s.Count(t, "SELECT COUNT(*) FROM failed_events") >= int64(len(bad)+1)
		}, "each is a failed event")
		require.EqualValues(t, 1, s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ? AND user_id = 'first'", coupon))
		require.EqualValues(t, 1, s.Count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", coupon), "never above the cap")
		for i, b := range bad {
			var reason, payload string
			require.NoError(t, s.SQL.QueryRowContext(t.Context(),
				"SELECT reason, payload FROM failed_events WHERE topic = ? AND partition_no = ? AND offset_no = ?",
				s.Topic, partition, i).Scan(&reason, &payload), "%s", b.name)
			require.Equal(t, b.reason, reason, "%s", b.name)
			require.LessOrEqual(t, len(payload), 8<<10, "%s: what is kept is bounded", b.name)
			require.True(t, strings.HasPrefix(b.value, payload[:min(len(payload), 100)]), "%s: %q", b.name, payload)
		}
		require.EqualValues(t, 1, s.Count(t, "SELECT COUNT(*) FROM failed_events WHERE reason = 'over_cap' AND user_id = 'second'"))

		// An admin sees them, by page.
		seen, cursor := 0, ""
		for {
			page := s.Must(t, http.StatusOK, http.MethodGet, "/v1/admin/failed-events?limit=5"+cursor, s.Token("root", true), nil).JSON(t)
			seen += len(page["items"].([]any))
			next, more := page["next_cursor"].(string)
			if !more {
				break
			}
			cursor = "&cursor=" + next
		}
		require.Equal(t, len(bad)+1, seen)
	})
}

// A record of an epoch that a rebuild has overtaken was never promised. It must not take a place from somebody; the
// batch sends it through the gate as an ordinary claim.
func TestOvertakenRecordGoesThroughTheGateAgain(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		coupon := s.Coupon(t, map[string]any{"total_quantity": 2})
		_, err := s.Claim(t.Context(), 0, coupon, "before")
		require.NoError(t, err)
		require.NoError(t, s.Redis.FlushDB(t.Context()).Err())
		stack.Eventually(t, drainWithin, func() bool {
			a, err := s.Claim(t.Context(), 0, coupon, "before")
			return err == nil && a.Accepted()
		}, "rebuilt")
		late := fmt.Sprintf(`{"v":1,"coupon_id":%d,"user_id":"late","nth":1,"seq":2,"epoch":1,"accepted_at":"2026-11-20T12:00:00.000123Z"}`, coupon)
		s.Produce(t, 3, "late", []byte(late))
		stack.Eventually(t, drainWithin, func() bool {
			return s.Count(t, "SELECT COUNT(*) FROM failed_events WHERE reason = 'stale_epoch' AND user_id = 'late'") == 1
		}, "a failed event")
		require.Zero(t, s.Count(t, "SELECT COUNT(*) FROM issues WHERE user_id = 'late'"))
		id := s.Count(t, "SELECT id FROM failed_events WHERE user_id = 'late'")
		a := s.Must(t, http.StatusAccepted, http.MethodPost, fmt.Sprintf("/v1/admin/failed-events/%d/retry", id), s.Token("root", true), nil)
		require.NotNil(t, a)
		stack.Eventually(t, 2*time.Minute, func() bool {
			return s.Count(t, "SELECT COUNT(*) FROM issues WHERE user_id = 'late' AND epoch > 1") == 1
		}, "a row of the new reign")
		var attempts []string
		for _, r := range s.Journal(t) {
			if r.Key == "late" {
				attempts = append(attempts, r.Headers["firstcome-attempts"])
			}
		}
		require.Equal(t, []string{"", "1"}, attempts, "should it fail again, it goes on counting")
	})
}
