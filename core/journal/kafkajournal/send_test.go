package kafkajournal_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// Whoever sends does not wait; each outcome is told once, and what is told as good is on the topic.
func TestWhatIsSentIsSettledOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		cfg := made(t, brokers, 3)
		j := opened(t, cfg)
		require.NoError(t, j.Append(within(t, 20*time.Second), place(1))) // connected
		const n = 500
		var mu sync.Mutex
		outcomes := map[int][]error{}
		for i := range n {
			require.Eventually(t, func() bool {
				return j.Send(t.Context(), place(i+2), func(err error) {
					mu.Lock()
					defer mu.Unlock()
					outcomes[i] = append(outcomes[i], err)
				})
			}, 20*time.Second, time.Millisecond, "there is room")
		}
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(outcomes) == n
		}, 20*time.Second, time.Millisecond)
		for i, errs := range outcomes {
			assert.Equal(t, []error{nil}, errs, i)
		}
		assert.Len(t, all(t, reading(t, cfg)), n+1)
	})
}

func TestWhatCannotBeSentAtOnceIsNotTaken(t *testing.T) {
	t.Parallel()
	cfg := made(t, fake(t).ListenAddrs(), 1)
	j := opened(t, cfg)
	never := func(error) { t.Error("told of what was not taken") }
	assert.False(t, j.Send(t.Context(), coupon.Place{}, never), "no place that can stand in a journal")
	require.NoError(t, j.Append(within(t, 20*time.Second), place(1)))
	require.NoError(t, j.Close(within(t, 20*time.Second)))
	assert.False(t, j.Send(t.Context(), place(2), never), "closed")
}
