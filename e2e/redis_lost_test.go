package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/e2e/stack"
)

// Redis forgets everything in the middle of a storm: nobody gets a second number, nothing is over-issued, and the gate
// opens again by itself.
func TestRedisForgetsInTheMiddle(t *testing.T) {
	t.Parallel()
	stack.Each(t, stack.Options{}, func(t *testing.T, s *stack.Stack) {
		const limit, users = 1500, 2500
		coupon := s.Coupon(t, map[string]any{"total_quantity": limit})
		p := &promises{kept: map[string]stack.Receipt{}}
		ask := func(from, to int) {
			var workers sync.WaitGroup
			next := make(chan int)
			for range 32 {
				workers.Go(func() {
					for i := range next {
						user := fmt.Sprintf("u-%d", i)
						stack.Eventually(t, drainWithin, func() bool {
							a, err := s.Claim(t.Context(), i, coupon, user)
							if err != nil || a.Status == http.StatusServiceUnavailable {
								return false
							}
							p.ask(t, s, i+1, coupon, user)
							return true
						}, "%s gets an answer", user)
					}
				})
			}
			for i := from; i < to; i++ {
				next <- i
			}
			close(next)
			workers.Wait()
		}
		ask(0, users/4)
		require.NoError(t, s.Redis.FlushDB(t.Context()).Err())
		ask(0, users/2)
		require.NoError(t, s.Redis.Del(t.Context(), fmt.Sprintf("fc:{c%d}:holders:%d", coupon, coupon)).Err())
		ask(0, users)
		require.Len(t, p.kept, limit)
		p.judge(t, s, coupon, limit)
		require.GreaterOrEqual(t, s.Count(t, "SELECT epoch FROM gates WHERE tag = ?", fmt.Sprintf("c%d", coupon)), int64(3),
			"two losses, two rebuilds at least")
	})
}
