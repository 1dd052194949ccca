package ledgertest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var leaseTests = map[string]func(*testing.T, desk){
	"one owner at a time":                     oneOwner,
	"of many at once, one gets it":            leaseRace,
	"a lease that ran out goes to the next":   leaseRunsOut,
	"another's lease is not ended by release": foreignRelease,
}

func (b desk) acquire(t *testing.T, name, owner string, ttl time.Duration) bool {
	t.Helper()
	held, err := b.book.Acquire(t.Context(), name, owner, ttl)
	require.NoError(t, err)
	return held
}

func oneOwner(t *testing.T, b desk) {
	name := fmt.Sprint("job ", newID())
	require.True(t, b.acquire(t, name, "a", time.Minute))
	require.True(t, b.acquire(t, name, "a", time.Minute), "renewed")
	require.False(t, b.acquire(t, name, "b", time.Minute))
	require.NoError(t, b.book.Release(t.Context(), name, "a"))
	require.True(t, b.acquire(t, name, "b", time.Minute))
}

func leaseRace(t *testing.T, b desk) {
	name := fmt.Sprint("job ", newID())
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			held, err := b.book.Acquire(t.Context(), name, fmt.Sprint("owner ", i), time.Minute)
			if err != nil {
				t.Error(err)
			}
			if held {
				won.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, won.Load())
}

func leaseRunsOut(t *testing.T, b desk) {
	name := fmt.Sprint("job ", newID())
	require.True(t, b.acquire(t, name, "a", 100*time.Millisecond))
	require.Eventually(t, func() bool { return b.acquire(t, name, "b", time.Minute) }, patience, tick)
	require.False(t, b.acquire(t, name, "a", time.Minute))
}

func foreignRelease(t *testing.T, b desk) {
	name := fmt.Sprint("job ", newID())
	require.True(t, b.acquire(t, name, "a", time.Minute))
	require.NoError(t, b.book.Release(t.Context(), name, "b"))
	require.NoError(t, b.book.Release(t.Context(), name+" that nobody has", "b"))
	require.False(t, b.acquire(t, name, "b", time.Minute))
}
