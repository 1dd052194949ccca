package kafkajournal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

func TestWhatIsAppendedIsRead(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 3)
		j, r := opened(t, cfg), reading(t, cfg)
		const many = 2000
		var want []coupon.Place
		var wg sync.WaitGroup
		errs := make([]error, many)
		for n := range many {
			p := place(n + 1)
			want = append(want, p)
			wg.Go(func() { errs[n] = j.Append(within(t, 20*time.Second), p) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		assert.ElementsMatch(t, want, all(t, r), "each place once, as it was given")
		require.NoError(t, j.Ping(within(t, 5*time.Second)))
		require.NoError(t, j.CheckTopic(within(t, 5*time.Second)))
	})
}

func TestRecordsOfOneUserKeepTheirOrderInOnePartition(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 5)
		j, r := opened(t, cfg), reading(t, cfg)
		for n := range 20 {
			p := place(n + 1)
			p.UserID, p.Nth, p.Key = "u-81", n+1, fmt.Sprintf("k%d", n)
			require.NoError(t, j.Append(within(t, 10*time.Second), p))
		}
		ends, err := r.Ends(within(t, 10*time.Second))
		require.NoError(t, err)
		assert.Len(t, ends, 5)
		var seqs []int64
		partitions := map[int32]bool{}
		require.NoError(t, r.Read(within(t, 10*time.Second), nil, ends, func(partition int32, offset int64, p coupon.Place) error {
			assert.Equal(t, int64(len(seqs)), offset)
			partitions[partition] = true
			seqs = append(seqs, p.Seq)
			return nil
		}))
		assert.Len(t, partitions, 1)
		assert.IsIncreasing(t, seqs)
		assert.Len(t, seqs, 20)
	})
}

func TestTheNumberOfAttemptsTravelsInTheHeader(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 1)
		j := opened(t, cfg)
		require.NoError(t, j.Append(within(t, 10*time.Second), place(1)))
		require.NoError(t, j.AppendAttempt(within(t, 10*time.Second), place(2), 7))

		c, err := sarama.NewConsumer(brokers, sarama.NewConfig())
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close()) }()
		p, err := c.ConsumePartition(cfg.Topic, 0, 0)
		require.NoError(t, err)
		defer func() { require.NoError(t, p.Close()) }()
		first, second := <-p.Messages(), <-p.Messages()
		assert.Empty(t, first.Headers)
		assert.Equal(t, "u-1", string(first.Key))
		require.Len(t, second.Headers, 1)
		assert.Equal(t, journal.HeaderAttempts, string(second.Headers[0].Key))
		assert.Equal(t, "7", string(second.Headers[0].Value))
	})
}

func TestAPlaceThatCannotStandInAJournalIsNotSent(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 1)
		j, r := opened(t, cfg), reading(t, cfg)
		bad := place(1)
		bad.UserID = `a","seq":1,"x":"`
		var field *coupon.FieldError
		require.ErrorAs(t, j.Append(within(t, 5*time.Second), bad), &field)
		assert.Equal(t, "user_id", field.Field)
		assert.Empty(t, all(t, r))
	})
}

func TestReadingTakesTheRangeAndLeavesOutWhatIsBroken(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 2)
		r := reading(t, cfg)
		record := func(n int) sarama.Encoder { return sarama.ByteEncoder(journal.Encode(nil, place(n))) }
		raw(t, cfg,
			&sarama.ProducerMessage{Value: record(1)},
			&sarama.ProducerMessage{Value: sarama.StringEncoder("not JSON")},
			&sarama.ProducerMessage{Value: record(3)},
			&sarama.ProducerMessage{Value: sarama.StringEncoder(strings.Repeat("x", 200_000))},
			&sarama.ProducerMessage{}, // no value at all
			&sarama.ProducerMessage{Value: sarama.StringEncoder(`{"v":2}`)},
			&sarama.ProducerMessage{Value: record(7)},
			&sarama.ProducerMessage{Value: record(8)},
			&sarama.ProducerMessage{Value: record(101), Partition: 1},
			&sarama.ProducerMessage{Value: record(102), Partition: 1},
		)
		read := func(from, to map[int32]int64) map[int64]int64 {
			seqs := map[int64]int64{}
			require.NoError(t, r.Read(within(t, 10*time.Second), from, to, func(partition int32, offset int64, p coupon.Place) error {
				seqs[int64(partition)*100+offset] = p.Seq
				return nil
			}))
			return seqs
		}
		assert.Equal(t, map[int64]int64{0: 1, 2: 3, 6: 7, 7: 8, 100: 101, 101: 102}, read(nil, map[int32]int64{0: 8, 1: 2}))
		assert.Equal(t, map[int64]int64{2: 3, 6: 7, 101: 102}, read(map[int32]int64{0: 1, 1: 1}, map[int32]int64{0: 7, 1: 2}))
		assert.Empty(t, read(map[int32]int64{0: 3, 1: 2}, map[int32]int64{0: 6, 1: 2}), "only broken ones, and an empty range")
		assert.Empty(t, read(map[int32]int64{0: 8}, map[int32]int64{0: 3}), "committed is beyond the noted end")

		stop := errors.New("stop")
		err := r.Read(within(t, 10*time.Second), nil, map[int32]int64{0: 8}, func(int32, int64, coupon.Place) error { return stop })
		assert.ErrorIs(t, err, stop)
	})
}

func TestAGroupThatHasCommittedNothingBeginsAtTheStart(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 2)
		r := reading(t, cfg)
		from, err := r.Committed(within(t, 15*time.Second))
		require.NoError(t, err)
		assert.Equal(t, map[int32]int64{0: 0, 1: 0}, from)
	})
}

func TestCommittedOffsetsAreThoseOfTheGroup(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 2)
		r := reading(t, cfg)
		fill(t, cfg, 10)
		commit(t, cfg, map[int32]int64{0: 4})
		other := cfg
		other.Group = unique("group")
		commit(t, other, map[int32]int64{0: 9, 1: 9})

		from, err := r.Committed(within(t, 15*time.Second))
		require.NoError(t, err)
		assert.Equal(t, map[int32]int64{0: 4, 1: 0}, from)
	})
}

func TestALogThatWasCutAboveTheCommittedOffsetsIsAnAlarm(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 2)
		r := reading(t, cfg)
		fill(t, cfg, 10)
		commit(t, cfg, map[int32]int64{0: 4, 1: 10})
		cut(t, cfg, 0, 4)
		cut(t, cfg, 1, 3)
		from, err := r.Committed(within(t, 15*time.Second))
		require.NoError(t, err, "cut at or below what is committed is no loss")
		assert.Equal(t, map[int32]int64{0: 4, 1: 10}, from)

		cut(t, cfg, 0, 5)
		_, err = r.Committed(within(t, 15*time.Second))
		require.ErrorIs(t, err, coupon.ErrLogCut)
		err = r.Read(within(t, 15*time.Second), from, map[int32]int64{0: 10, 1: 10}, func(int32, int64, coupon.Place) error { return nil })
		require.ErrorIs(t, err, coupon.ErrLogCut)

		other := cfg
		other.Group = unique("group")
		_, err = reading(t, other).Committed(within(t, 15*time.Second))
		require.ErrorIs(t, err, coupon.ErrLogCut, "nothing committed, and the start of the log is not 0")
	})
}

func TestOffsetsBeyondTheEndAreNotBelieved(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 1)
		r := reading(t, cfg)
		fill(t, cfg, 2)
		commit(t, cfg, map[int32]int64{0: 3})
		_, err := r.Committed(within(t, 15*time.Second))
		require.ErrorContains(t, err, "beyond the end")
		require.NotErrorIs(t, err, coupon.ErrLogCut)
		require.ErrorIs(t, err, coupon.ErrLogAnew)
	})
}

func TestTheTopicIsMadeOnceWithItsPartitions(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := kafkajournal.Config{Brokers: brokers, Topic: unique("topic")}
		err := kafkajournal.CheckTopic(within(t, 10*time.Second), cfg)
		require.ErrorIs(t, err, kafkajournal.ErrTopicMissing)
		assert.ErrorContains(t, err, "batch migrate")
		assert.ErrorContains(t, err, cfg.Topic)

		errs := make([]error, 3)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = kafkajournal.CreateTopic(within(t, 20*time.Second), brokers, cfg.Topic, 4, 1) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...), "three at once")
		require.NoError(t, kafkajournal.CreateTopic(within(t, 20*time.Second), brokers, cfg.Topic, 4, 1), "and again")
		require.NoError(t, kafkajournal.CheckTopic(within(t, 10*time.Second), cfg))

		err = kafkajournal.CreateTopic(within(t, 20*time.Second), brokers, cfg.Topic, 6, 1)
		require.ErrorIs(t, err, kafkajournal.ErrPartitionsDiffer)
		assert.ErrorContains(t, err, "has 4, kafka.partitions says 6")

		err = kafkajournal.CreateTopic(within(t, 20*time.Second), brokers, unique("topic"), 4, 7)
		assert.ErrorContains(t, err, "kafka.replication 7 needs as many brokers")
	})
}

func TestAClosedJournalTakesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 1)
		j, err := kafkajournal.Open(cfg, quiet(), prometheus.NewRegistry())
		require.NoError(t, err)
		require.NoError(t, j.Append(within(t, 10*time.Second), place(1)))
		require.NoError(t, j.Close(within(t, 10*time.Second)))
		require.NoError(t, j.Close(within(t, 10*time.Second)), "twice")
		require.ErrorIs(t, j.Append(within(t, 10*time.Second), place(2)), kafkajournal.ErrClosed)
		require.ErrorIs(t, j.Ping(within(t, time.Second)), kafkajournal.ErrClosed)
	})
}

func TestClosingSettlesWhatIsUnderWay(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 3)
		j, err := kafkajournal.Open(cfg, quiet(), prometheus.NewRegistry())
		require.NoError(t, err)
		require.NoError(t, j.Append(within(t, 10*time.Second), place(1)))
		const many = 500
		errs := make([]error, many)
		var wg sync.WaitGroup
		for n := range many {
			wg.Go(func() { errs[n] = j.Append(within(t, 20*time.Second), place(n+2)) })
		}
		require.NoError(t, j.Close(within(t, 20*time.Second)))
		wg.Wait()
		there := map[int64]bool{}
		for _, p := range all(t, reading(t, cfg)) {
			there[p.Seq] = true
		}
		for n, err := range errs {
			if err == nil {
				assert.True(t, there[int64(n+2)], "acknowledged and not there: %d", n+2)
			}
		}
	})
}

// fill puts n good records into each partition.
func fill(t *testing.T, cfg kafkajournal.Config, n int) {
	t.Helper()
	var records []*sarama.ProducerMessage
	for partition := range int32(2) {
		for i := range n {
			records = append(records, &sarama.ProducerMessage{
				Partition: partition, Value: sarama.ByteEncoder(journal.Encode(nil, place(i+1))),
			})
		}
	}
	c, err := sarama.NewClient(cfg.Brokers, sarama.NewConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	partitions, err := c.Partitions(cfg.Topic)
	require.NoError(t, err)
	raw(t, cfg, records[:n*min(len(partitions), 2)]...)
}

// commit joins the group and commits offsets, as a consumer does.
func commit(t *testing.T, cfg kafkajournal.Config, offsets map[int32]int64) {
	t.Helper()
	s := sarama.NewConfig()
	s.Version = sarama.V3_6_0_0
	g, err := sarama.NewConsumerGroup(cfg.Brokers, cfg.Group, s)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(t, g.Consume(ctx, []string{cfg.Topic}, committer{offsets: offsets, topic: cfg.Topic, done: cancel}))
	require.NoError(t, g.Close())
}

type committer struct {
	topic   string
	offsets map[int32]int64
	done    func()
}

func (c committer) Setup(s sarama.ConsumerGroupSession) error {
	for partition, offset := range c.offsets {
		s.MarkOffset(c.topic, partition, offset, "")
	}
	s.Commit()
	c.done()
	return nil
}
func (c committer) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (c committer) ConsumeClaim(s sarama.ConsumerGroupSession, _ sarama.ConsumerGroupClaim) error {
	<-s.Context().Done()
	return nil
}

// cut deletes the records of a partition below an offset.
func cut(t *testing.T, cfg kafkajournal.Config, partition int32, before int64) {
	t.Helper()
	a, err := sarama.NewClusterAdmin(cfg.Brokers, sarama.NewConfig())
	require.NoError(t, err)
	require.NoError(t, a.DeleteRecords(cfg.Topic, map[int32]int64{partition: before}))
	require.NoError(t, a.Close())
}
