package kafkajournal_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/firstcome/firstcome/core/coupon"
)

func TestAppendsGoOnWhenTheLeaderMoves(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3))
	cfg := made(t, cluster.ListenAddrs(), 1)
	j, r := opened(t, cfg), reading(t, cfg)
	var want []coupon.Place
	for n := range 9 {
		require.NoError(t, cluster.MoveTopicPartition(cfg.Topic, 0, int32(n%3)))
		require.NoError(t, j.Append(within(t, 5*time.Second), place(n+1)), "move %d", n)
		want = append(want, place(n+1))
		ends, err := r.Ends(within(t, 5*time.Second))
		require.NoError(t, err)
		assert.Equal(t, map[int32]int64{0: int64(n + 1)}, ends, "what is acknowledged is below the end")
	}
	assert.Equal(t, want, all(t, r))
}

func TestAReadingGoesOnWhenTheLeaderMoves(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3))
	cfg := made(t, cluster.ListenAddrs(), 1)
	j, r := opened(t, cfg), reading(t, cfg)
	for n := range 10 {
		require.NoError(t, j.Append(within(t, 5*time.Second), place(n+1)))
	}
	require.Len(t, all(t, r), 10)
	require.NoError(t, cluster.MoveTopicPartition(cfg.Topic, 0, (cluster.LeaderFor(cfg.Topic, 0)+1)%3))
	var seqs []int64
	require.NoError(t, r.Read(within(t, 10*time.Second), nil, map[int32]int64{0: 10}, func(_ int32, _ int64, p coupon.Place) error {
		seqs = append(seqs, p.Seq)
		return nil
	}))
	assert.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, seqs)
}

// A partition whose broker died fails; the others must not notice.
func TestOneBrokerOfThreeGone(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3))
	cfg := made(t, cluster.ListenAddrs(), 3)
	j := opened(t, cfg)
	for p := range int32(3) {
		require.NoError(t, cluster.MoveTopicPartition(cfg.Topic, p, p))
	}
	for n := range 30 {
		require.NoError(t, j.Append(within(t, 5*time.Second), place(n+1)))
	}
	require.NoError(t, cluster.RemoveNode(2))
	for n := range 30 {
		require.NoError(t, j.Append(within(t, 10*time.Second), place(n+31)), "its partitions have another leader")
	}
	there := map[int64]bool{}
	for _, p := range all(t, reading(t, cfg)) {
		there[p.Seq] = true
	}
	assert.Len(t, there, 60)
}
