package kafkajournal_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

// remake deletes the topic and makes it again. In between it waits until the broker shows it no more: until then it would be
// taken for made already.
func remake(t *testing.T, a sarama.ClusterAdmin, cfg kafkajournal.Config, partitions int) error {
	t.Helper()
	require.NoError(t, a.DeleteTopic(cfg.Topic))
	require.Eventually(t, func() bool {
		found, err := a.DescribeTopics([]string{cfg.Topic})
		return err == nil && len(found) == 1 && errors.Is(found[0].Err, sarama.ErrUnknownTopicOrPartition)
	}, 20*time.Second, 50*time.Millisecond)
	return kafkajournal.CreateTopic(within(t, 20*time.Second), cfg.Brokers, cfg.Topic, partitions, 1)
}

// Kafka forgets a group's offsets together with the topic, so that one made anew looks like one that nobody has read.
func TestATopicMadeAnewIsNotTakenForOneThatNobodyHasRead(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 2)
		var seen map[int32]int64
		var why error
		cfg.Seen = func(context.Context) (map[int32]int64, error) { return seen, why }
		r := reading(t, cfg)
		_, err := r.Committed(within(t, 15*time.Second))
		require.NoError(t, err, "a new one")
		fill(t, cfg, 20)
		commit(t, cfg, map[int32]int64{0: 2, 1: 2})
		seen = map[int32]int64{0: 3, 1: 1}
		_, err = r.Committed(within(t, 15*time.Second))
		require.NoError(t, err)

		administer(t, cfg, 2, func(a sarama.ClusterAdmin) error { return remake(t, a, cfg, 2) })
		require.Eventually(t, func() bool { // the broker takes a moment to forget the offsets
			_, err = r.Committed(within(t, 15*time.Second))
			return errors.Is(err, coupon.ErrLogAnew)
		}, 20*time.Second, 100*time.Millisecond, "%v", err)
		require.ErrorContains(t, err, "made anew")

		why = errors.New("the database is away")
		seen = nil
		_, err = r.Committed(within(t, 15*time.Second))
		if err == nil || !errors.Is(err, coupon.ErrLogAnew) { // offsets that are kept say it without the ledger
			require.ErrorIs(t, err, why, "not known is not new")
		}

		commit(t, cfg, map[int32]int64{0: 0, 1: 0})
		_, err = r.Committed(within(t, 15*time.Second))
		require.NoError(t, err, "a person has decided where to go on")
	})
}
