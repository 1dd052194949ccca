package groupreader

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

func TestEverythingIsWrittenInOrderAndCommitted(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 3)
		for p := range int32(3) {
			produce(t, cfg, p, goods(500)...) // before there is any member: a new group begins at the start
		}
		b := newBook()
		m := run(t, cfg, b)
		eventually(t, "all is written", func() bool { return b.count() == 1500 })
		produce(t, cfg, 1, goods(10)...)
		eventually(t, "what comes later too", func() bool { return b.count() == 1510 })
		require.NoError(t, m.Ready(t.Context()))
		require.NoError(t, m.Waiting(t.Context()))
		require.NoError(t, m.Live(t.Context()))
		m.stop()
		assert.Equal(t, map[int32]int64{0: 500, 1: 510, 2: 500}, committed(t, cfg), "stopping commits what is marked")
		require.Error(t, m.Ready(t.Context()))
		for p, n := range map[int32]int64{0: 500, 1: 510, 2: 500} {
			assert.Equal(t, upTo(n), b.offsets(p))
		}

		again := newBook()
		m = run(t, cfg, again)
		eventually(t, "joined", func() bool { return m.Ready(t.Context()) == nil })
		produce(t, cfg, 0, good(1))
		eventually(t, "goes on where it was", func() bool { return again.count() > 0 })
		assert.Equal(t, []int64{500}, again.offsets(0))
	})
}

func TestPoisonOfEveryKindIsWrittenWithItsNeighbours(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 1)
		values := [][]byte{
			good(0), []byte("not JSON"), bytes.Repeat([]byte("x"), 200_000), []byte(`{"v":2}`), {},
			bytes.Replace(good(5), []byte(`"seq":6`), []byte(`"seq":1e99`), 1), good(6),
		}
		produce(t, cfg, 0, values...)
		b := newBook()
		m := run(t, cfg, b)
		eventually(t, "all is written", func() bool { return b.count() == len(values) })
		m.stop()
		var reasons []coupon.FailReason
		for _, batch := range b.batches[0] {
			for _, r := range batch {
				reasons = append(reasons, r.Reason)
			}
		}
		u := coupon.FailUndecodable
		assert.Equal(t, []coupon.FailReason{"", u, u, coupon.FailUnknownVersion, u, u, ""}, reasons)
		assert.Equal(t, map[int32]int64{0: 7}, committed(t, cfg))
	})
}

func TestTheBookIsDownForAWhile(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 2)
		b := newBook()
		b.set(errDown)
		m := run(t, cfg, b)
		const many = 2000 // far more than is held
		produce(t, cfg, 0, goods(many)...)
		produce(t, cfg, 1, goods(many)...)
		eventually(t, "readiness says so", func() bool { return m.Waiting(t.Context()) != nil && b.attempts() > 4 })
		assert.Equal(t, map[int32]int64{0: 0, 1: 0}, committed(t, cfg))
		require.NoError(t, m.Ready(t.Context()), "it is a member all the while")
		m.measureLag(t.Context())
		assert.InDelta(t, many, gauge(t, m.metrics.lag.WithLabelValues("1")), 0, "the lag is known though fetching is paused")

		b.set(nil)
		eventually(t, "it catches up", func() bool { return b.count() == 2*many })
		assert.Equal(t, upTo(many), b.offsets(0))
		assert.Equal(t, upTo(many), b.offsets(1))
		require.NoError(t, m.Waiting(t.Context()))
		m.measureLag(t.Context())
		assert.InDelta(t, 0, gauge(t, m.metrics.lag.WithLabelValues("1")), 0)
		m.stop()
		assert.Equal(t, map[int32]int64{0: many, 1: many}, committed(t, cfg))
	})
}

// A member that dies between the write and the mark has written what nobody knows of.
func TestWhatWasWrittenAndNotMarkedComesAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 1)
		produce(t, cfg, 0, goods(10)...)
		dies := &deadAfterwards{book: newBook()}
		m := run(t, cfg, dies)
		eventually(t, "some are written", func() bool { return dies.count() > 0 })
		m.stop()
		assert.Equal(t, map[int32]int64{0: 0}, committed(t, cfg))

		heir := newBook()
		run(t, cfg, heir)
		eventually(t, "written again", func() bool { return heir.count() == 10 })
		assert.Equal(t, upTo(10), heir.offsets(0))
	})
}

func TestTwoMembersShareAndHandOver(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		const partitions = 4
		cfg := made(t, brokers, partitions)
		one, two := newBook(), newBook()
		first := run(t, cfg, one)
		eventually(t, "the first has all", func() bool { return len(first.progress.nexts()) == partitions })
		second := run(t, cfg, two)
		done := make(chan struct{})
		sent := make(chan int64, 1)
		go func() { // records come all the while
			n := int64(0)
			for {
				for p := range int32(partitions) {
					produce(t, cfg, p, good(n))
				}
				n++
				select {
				case <-done:
					sent <- n
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		}()
		eventually(t, "each has two", func() bool {
			return len(first.progress.nexts()) == 2 && len(second.progress.nexts()) == 2
		})
		eventually(t, "both write", func() bool { return one.count() > 20 && two.count() > 20 })
		first.stop()
		eventually(t, "the second has all", func() bool { return len(second.progress.nexts()) == partitions })
		close(done)
		n := <-sent
		eventually(t, "all is written", func() bool {
			for p := range int32(partitions) {
				if !slices.Contains(two.offsets(p), n-1) {
					return false
				}
			}
			return true
		})
		for p := range int32(partitions) {
			all := append(one.offsets(p), two.offsets(p)...)
			slices.Sort(all)
			assert.Equal(t, upTo(n), slices.Compact(all), "nothing is skipped")
			assert.Equal(t, upTo(n), all, "and a handover in order writes nothing twice")
		}
	})
}

// Who waits for the book must give partitions away all the same, without marking them.
func TestARebalanceInTheMiddleOfRetrying(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 2)
		b := newBook()
		b.set(errDown)
		m := run(t, cfg, b)
		for p := range int32(2) {
			produce(t, cfg, p, goods(700)...)
		}
		eventually(t, "it waits for the book", func() bool { return m.Waiting(t.Context()) != nil && b.attempts() > 2 })
		other := newBook()
		second := run(t, cfg, other)
		eventually(t, "the other one gets a partition and writes it", func() bool { return other.count() == 700 })
		require.Len(t, second.progress.nexts(), 1)
		require.Error(t, m.Waiting(t.Context()), "the one that stayed still waits")
		m.stop()
		eventually(t, "the other one gets the rest", func() bool { return other.count() == 1400 })
		assert.Equal(t, upTo(700), other.offsets(0))
		assert.Equal(t, upTo(700), other.offsets(1))
		assert.Zero(t, b.count())
	})
}

func TestATopicThatIsMissingIsSaidAndWaitedFor(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := kafkajournal.Config{Brokers: brokers, Topic: unique("topic"), Group: unique("group"), Timeout: 2 * time.Second}
		b := newBook()
		m := run(t, cfg, b)
		eventually(t, "it says what to do", func() bool {
			err := m.Ready(t.Context())
			return err != nil && bytes.Contains([]byte(err.Error()), []byte("batch migrate"))
		})
		require.NoError(t, kafkajournal.CreateTopic(within(t), brokers, cfg.Topic, 1, 1))
		produce(t, cfg, 0, good(0))
		eventually(t, "written", func() bool { return b.count() == 1 })
		require.NoError(t, m.Ready(t.Context()))
	})
}

// Going on at the new start of a log that was cut would hide that records are lost.
func TestALogThatWasCutAboveTheOffsetsStopsTheMember(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 1)
		produce(t, cfg, 0, goods(10)...)
		b := newBook()
		m := run(t, cfg, b)
		eventually(t, "written", func() bool { return b.count() == 10 })
		m.stop()
		produce(t, cfg, 0, goods(10)...)
		cutLog(t, cfg, 0, 15)

		b = newBook()
		m = run(t, cfg, b)
		eventually(t, "it says so", func() bool {
			err := m.Ready(t.Context())
			return err != nil && bytes.Contains([]byte(err.Error()), []byte("below the start of the log"))
		})
		assert.Zero(t, b.count())
	})
}

// While it runs, and when it begins: nothing of the new topic is written, as if the old one had never been.
func TestATopicThatWasMadeAnewStopsTheMember(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 1)
		cfg.Seen = func(context.Context) (map[int32]int64, error) { return nil, nil } // rows do not tell
		produce(t, cfg, 0, goods(10)...)
		b := newBook()
		m := run(t, cfg, b)
		eventually(t, "written", func() bool { return b.count() == 10 })
		anew(t, cfg)
		produce(t, cfg, 0, goods(5)...)
		eventually(t, "it says so", func() bool {
			err := m.Ready(t.Context())
			return errors.Is(err, coupon.ErrLogAnew) || errors.Is(err, coupon.ErrLogCut)
		})
		// Nor does it begin at the start when it has joined again, and the broker has forgotten where it was.
		require.Never(t, func() bool { return b.count() > 10 }, 5*time.Second, 50*time.Millisecond)
	})
}

func TestATopicThatEndsBeforeWhatTheLedgerKnowsIsNotRead(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 2)
		var mu sync.Mutex
		known, why := map[int32]int64{0: 3, 1: 6}, error(nil)
		cfg.Seen = func(context.Context) (map[int32]int64, error) {
			mu.Lock()
			defer mu.Unlock()
			return maps.Clone(known), why
		}
		produce(t, cfg, 0, goods(5)...)
		produce(t, cfg, 1, goods(5)...)
		b := newBook()
		m := run(t, cfg, b)
		eventually(t, "it says so", func() bool { return errors.Is(m.Ready(t.Context()), coupon.ErrLogAnew) })
		require.Zero(t, b.count(), "of no partition")

		mu.Lock()
		known, why = nil, errors.New("the database is away")
		mu.Unlock()
		eventually(t, "not known is not new", func() bool { return errors.Is(m.Ready(t.Context()), why) })
		require.Zero(t, b.count())

		mu.Lock()
		known, why = map[int32]int64{0: 5, 1: 5}, nil
		mu.Unlock()
		eventually(t, "all is written", func() bool { return b.count() == 10 })
		require.NoError(t, m.Ready(t.Context()))
	})
}

// anew deletes the topic and makes it again.
func anew(t *testing.T, cfg kafkajournal.Config) {
	t.Helper()
	s := cfg.Sarama()
	s.Metadata.Full = true
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, s)
	require.NoError(t, err)
	require.NoError(t, admin.DeleteTopic(cfg.Topic))
	require.Eventually(t, func() bool { // until the broker shows it no more it would be taken for made already
		found, err := admin.DescribeTopics([]string{cfg.Topic})
		return err == nil && len(found) == 1 && errors.Is(found[0].Err, sarama.ErrUnknownTopicOrPartition)
	}, 20*time.Second, 50*time.Millisecond)
	require.NoError(t, admin.Close())
	require.NoError(t, kafkajournal.CreateTopic(within(t), cfg.Brokers, cfg.Topic, 1, 1))
}

// Whatever lies on the topic, a partition holds two batches, what was on its way when the pause came, and no more.
func TestMemoryIsBoundedWhileTheBookIsDown(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		t.Helper()
		cfg := made(t, brokers, 1)
		const many, great = 120, 200_000
		produce(t, cfg, 0, slices.Repeat([][]byte{bytes.Repeat([]byte("x"), great)}, many)...)
		b := newBook()
		b.set(errDown)
		m := run(t, cfg, b)
		read := func() int { return int(counted(t, m.metrics.records.WithLabelValues("broken"))) }
		eventually(t, "it holds what it may", func() bool { return read()*great >= 2<<20 && b.attempts() > 2 })
		most := 2<<20 + 2*max(fetchBytes, 1<<20) + channelRecords*great
		// What was on its way when the pause came still arrives, on a slow machine a little later; then nothing more does.
		before := read()
		eventually(t, "nothing is fetched any more", func() bool {
			last := before
			<-time.After(4 * fetchWait) // enough for two more exchanges, if there were any
			before = read()
			return before == last
		})
		assert.Less(t, before*great, most)
		b.set(nil)
		eventually(t, "all is written", func() bool { return b.count() == many })
		assert.Equal(t, upTo(many), b.offsets(0))
	})
}
