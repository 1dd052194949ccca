package measure

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhoAskedLaterAndHasTheSmallerNumberIsAnInversion(t *testing.T) {
	t.Parallel()
	const ms = 1000 // microseconds
	for name, c := range map[string]struct {
		sent    []uint32
		seqs    []int64
		count   int
		largest time.Duration
	}{
		"in order":              {[]uint32{0, 100 * ms, 200 * ms}, []int64{1, 2, 3}, 0, 0},
		"close together":        {[]uint32{0, 50 * ms}, []int64{2, 1}, 0, 50 * time.Millisecond},
		"apart":                 {[]uint32{0, 51 * ms}, []int64{2, 1}, 1, 51 * time.Millisecond},
		"two behind the third":  {[]uint32{0, 10 * ms, 100 * ms}, []int64{2, 3, 1}, 2, 100 * time.Millisecond},
		"sent in another order": {[]uint32{100 * ms, 0}, []int64{1, 2}, 1, 100 * time.Millisecond},
		"the latest counts":     {[]uint32{0, 10 * ms, 60 * ms, 90 * ms}, []int64{3, 2, 4, 1}, 2, 90 * time.Millisecond},
	} {
		count, largest := inversions(c.sent, c.seqs, 50*time.Millisecond)
		require.Equal(t, c.count, count, name)
		require.Equal(t, c.largest, largest, name)
	}
}

func TestInversionsAreThoseOfAllPairs(t *testing.T) {
	t.Parallel()
	for range 200 {
		sent, seqs := make([]uint32, 40), make([]int64, 40)
		for i, seq := range rand.Perm(len(seqs)) {
			sent[i], seqs[i] = rand.Uint32N(200_000), int64(seq)+1
		}
		var count int
		var largest time.Duration
		for i := range sent {
			overtaken := false
			for j := range sent {
				later := time.Duration(int64(sent[j])-int64(sent[i])) * time.Microsecond
				if later > 0 && seqs[j] < seqs[i] {
					largest = max(largest, later)
					overtaken = overtaken || later > 50*time.Millisecond
				}
			}
			if overtaken {
				count++
			}
		}
		gotCount, gotLargest := inversions(sent, seqs, 50*time.Millisecond)
		require.Equal(t, count, gotCount)
		require.Equal(t, largest, gotLargest)
	}
}
