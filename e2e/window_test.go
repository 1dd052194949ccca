package e2e

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// The window is [opens_at, closes_at) on Redis' clock: whoever is accepted was accepted inside of it, to the
// microsecond, and who came before hears when to come.
func TestWindowEdgesAreExact(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		now, err := s.Redis.Time(t.Context()).Result()
		require.NoError(t, err)
		opens := now.Add(1500 * time.Millisecond).Truncate(time.Microsecond).UTC()
		closes := opens.Add(1500 * time.Millisecond)
		coupon := s.Coupon(t, map[string]any{
			"opens_at": opens.Format(time.RFC3339Nano), "closes_at": closes.Format(time.RFC3339Nano),
		})
		var before, accepted, after int
		var first stack.Receipt
		for i := 0; after < 5; i++ {
			a, err := s.Claim(t.Context(), i, coupon, "u-"+strconv.Itoa(i))
			require.NoError(t, err)
			switch {
			case a.Accepted():
				at := a.Receipt(t).AcceptedAt
				require.False(t, at.Before(opens), "accepted %s before it opened", opens.Sub(at))
				require.True(t, at.Before(closes), "accepted %s after it closed", at.Sub(closes))
				require.Zero(t, after, "accepted after somebody heard closed")
				if accepted++; accepted == 1 {
					first = a.Receipt(t)
				}
			case a.Code() == "not_open":
				require.Zero(t, accepted, "not open after somebody was accepted")
				require.Equal(t, http.StatusForbidden, a.Status)
				body := a.JSON(t)
				said, err := time.Parse(time.RFC3339Nano, body["opens_at"].(string))
				require.NoError(t, err)
				require.True(t, said.Equal(opens))
				server, err := time.Parse(time.RFC3339Nano, body["server_time"].(string))
				require.NoError(t, err)
				require.True(t, server.Before(opens), "server_time is the clock that decided")
				wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
				require.NoError(t, err)
				require.True(t, wait >= 1 && wait <= 3, "Retry-After %d", wait)
				before++
			case a.Code() == "closed":
				require.Equal(t, http.StatusGone, a.Status)
				after++
			default:
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		require.Positive(t, before)
		require.Positive(t, accepted)
		// A winner who asks after the end still hears the number.
		again, askErr := s.Claim(t.Context(), 0, coupon, first.UserID)
		require.NoError(t, askErr)
		require.Equal(t, http.StatusOK, again.Status, "%s", again.Body)
		require.Equal(t, first, again.Receipt(t))
	})
}
