package kafkajournal_test

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

// administer does something to the topic as a person would, and waits until the broker shows as many partitions.
func administer(t *testing.T, cfg kafkajournal.Config, partitions int, do func(sarama.ClusterAdmin) error) {
	t.Helper()
	s := cfg.Sarama()
	s.Metadata.Full = true
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, s)
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close()) }()
	require.NoError(t, do(admin))
	require.Eventually(t, func() bool {
		topics, err := admin.DescribeTopics([]string{cfg.Topic})
		return err == nil && len(topics) == 1 && len(topics[0].Partitions) == partitions
	}, 20*time.Second, 50*time.Millisecond)
}

// where are the partitions of each user's records.
func where(t *testing.T, r *kafkajournal.Reader) map[string]map[int32]bool {
	t.Helper()
	ends, err := r.Ends(within(t, 10*time.Second))
	require.NoError(t, err)
	at := map[string]map[int32]bool{}
	require.NoError(t, r.Read(within(t, 10*time.Second), nil, ends, func(partition int32, _ int64, p coupon.Place) error {
		if at[p.UserID] == nil {
			at[p.UserID] = map[int32]bool{}
		}
		at[p.UserID][partition] = true
		return nil
	}))
	return at
}

// A user's records stay together, in a process that goes on and in one that begins now; and the ends that a rebuild notes
// are of all partitions.
func TestPartitionsAddedByHandGetNoRecords(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		const users = 60
		cfg := made(t, brokers, 4)
		cfg.Partitions = 4
		j, r := opened(t, cfg), reading(t, cfg)
		send := func(j *kafkajournal.Journal) {
			for n := range users {
				require.NoError(t, j.Append(within(t, 10*time.Second), place(n+1)))
			}
		}
		send(j)
		administer(t, cfg, 7, func(a sarama.ClusterAdmin) error { return a.CreatePartitions(cfg.Topic, 7, nil, false) })
		require.NoError(t, j.Ping(within(t, 10*time.Second)), "it has seen the new ones now")
		send(j)
		send(opened(t, cfg))
		ends, err := r.Ends(within(t, 10*time.Second))
		require.NoError(t, err)
		require.Len(t, ends, 7)
		at := where(t, r)
		require.Len(t, at, users)
		for user, partitions := range at {
			require.Len(t, partitions, 1, user)
		}
		for partition := int32(4); partition < 7; partition++ {
			require.Zero(t, ends[partition])
		}
	})
}

// Without being told a number, a journal goes on with that of its beginning.
func TestAJournalGoesOnWithThePartitionsOfItsBeginning(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 2)
		j := opened(t, cfg)
		for n := range 20 {
			require.NoError(t, j.Append(within(t, 10*time.Second), place(n+1)))
		}
		administer(t, cfg, 5, func(a sarama.ClusterAdmin) error { return a.CreatePartitions(cfg.Topic, 5, nil, false) })
		require.NoError(t, j.Ping(within(t, 10*time.Second)))
		for n := range 20 {
			require.NoError(t, j.Append(within(t, 10*time.Second), place(n+1)))
		}
		for user, partitions := range where(t, reading(t, cfg)) {
			require.Len(t, partitions, 1, user)
		}
	})
}

// Kafka takes no partitions away: this is another topic, and what was promised is gone with the first one.
func TestATopicMadeAnewWithFewerPartitionsTakesNothingAndIsNotRead(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 6)
		j, r := opened(t, cfg), reading(t, cfg)
		require.NoError(t, j.Append(within(t, 10*time.Second), place(1)))
		_, err := r.Ends(within(t, 10*time.Second))
		require.NoError(t, err)
		administer(t, cfg, 3, func(a sarama.ClusterAdmin) error { return remake(t, a, cfg, 3) })
		require.Eventually(t, func() bool {
			err = j.Append(within(t, time.Second), place(2))
			return err != nil
		}, 30*time.Second, 50*time.Millisecond)
		require.Eventually(t, func() bool {
			err = j.Ping(within(t, 5*time.Second))
			return err != nil
		}, 30*time.Second, 50*time.Millisecond)
		assert.ErrorIs(t, err, kafkajournal.ErrPartitionsDiffer)
		assert.ErrorContains(t, err, "has 3 and had 6")
		_, err = r.Ends(within(t, 20*time.Second))
		require.ErrorIs(t, err, kafkajournal.ErrPartitionsDiffer)
		_, err = r.Committed(within(t, 20*time.Second))
		require.ErrorIs(t, err, kafkajournal.ErrPartitionsDiffer)
	})
}
