package groupreader

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

func TestBatchesAreWhateverIsThereUpToTheirBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 4)
		b.book.hang = make(chan struct{})
		b.start()
		b.send(0, good(0)) // alone: nobody waits for company
		<-b.book.tried
		for n := range int64(6) {
			b.send(n+1, good(n+1))
		}
		synctest.Wait() // all of them are in the intake
		close(b.book.hang)
		synctest.Wait()
		var sizes []int
		for _, batch := range b.book.batches[3] {
			sizes = append(sizes, len(batch))
		}
		assert.Equal(t, []int{1, 4, 2}, sizes)
		assert.Equal(t, []int64{0, 1, 2, 3, 4, 5, 6}, b.book.offsets(3))
		assert.Equal(t, int64(7), b.session.mark())
		b.stop()
		<-b.done
	})
}

func TestFetchingIsPausedWhenTwoBatchesAreHeldAndGoesOnBelowOne(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]struct{ records, bytes, value int }{
		"by records": {records: 4, bytes: 1 << 20, value: 0},
		"by bytes":   {records: 1000, bytes: 4 * (50_000 + recordRoom + 3), value: 50_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []bool
			in := newIntake(shape.records, shape.bytes, func(on bool) { asked = append(asked, on) })
			for n := range int64(9) {
				r, size := recordOf(&sarama.ConsumerMessage{Offset: n, Key: []byte("u-1"), Value: make([]byte, shape.value)})
				in.put(r, size)
				if n < 7 {
					assert.Empty(t, asked, n)
				}
			}
			assert.Equal(t, []bool{true}, asked, "once, at the eighth; the ninth was under way and is taken")
			assert.Len(t, in.batch(true), 4)
			assert.Equal(t, []bool{true}, asked, "five are left")
			assert.Len(t, in.batch(true), 4)
			assert.Equal(t, []bool{true, false}, asked)
			assert.Len(t, in.batch(true), 1)
			assert.Nil(t, in.batch(true))
			assert.Zero(t, in.bytes)
		})
	}
}

func TestARecordGreaterThanABatchIsABatchOfItsOwn(t *testing.T) {
	t.Parallel()
	in := newIntake(1000, 10_000, func(bool) {})
	for n, size := range []int{100, 200_000, 100, 100} {
		r, _ := recordOf(&sarama.ConsumerMessage{Offset: int64(n)})
		in.put(r, size)
	}
	var sizes []int
	for batch := in.batch(true); batch != nil; batch = in.batch(true) {
		sizes = append(sizes, len(batch))
	}
	assert.Equal(t, []int{1, 1, 2}, sizes)
}

// A 200 kB record must not keep 200 kB alive until it is written.
func TestOfARecordOnlySoMuchIsKept(t *testing.T) {
	t.Parallel()
	value, key := bytes.Repeat([]byte("x"), 200_000), bytes.Repeat([]byte("k"), 200_000)
	r, size := recordOf(&sarama.ConsumerMessage{Offset: 5, Key: key, Value: value})
	assert.Equal(t, coupon.MaxPayloadKept, cap(r.Payload))
	assert.LessOrEqual(t, cap(r.Key), 2*maxKey)
	assert.Equal(t, value[:coupon.MaxPayloadKept], r.Payload)
	assert.Equal(t, key[:maxKey], r.Key)
	assert.GreaterOrEqual(t, size, 400_000, "it counts whole: what came with it may keep the whole answer alive")
	require.ErrorIs(t, r.Broken, journal.ErrUndecodable)
	assert.Equal(t, coupon.FailUndecodable, r.Reason)
}

func TestPoisonIsARecordAmongItsNeighbours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 100)
		b.book.hang = make(chan struct{})
		b.start()
		b.send(0, good(0))
		<-b.book.tried
		values := [][]byte{
			good(1), []byte("not JSON"), good(3), []byte(`{"v":2}`), nil, {}, bytes.Repeat([]byte("x"), 200_000),
			bytes.Replace(good(7), []byte(`"seq":8`), []byte(`"seq":-8`), 1), good(9),
		}
		for n, v := range values {
			b.send(int64(n+1), v)
		}
		synctest.Wait() // all of them are in the intake
		close(b.book.hang)
		synctest.Wait()
		require.Equal(t, 2, len(b.book.batches[3])) // Len would print 200 kB
		batch := b.book.batches[3][1]
		require.Equal(t, len(values), len(batch), "all in one batch")
		var reasons []coupon.FailReason
		for n, r := range batch {
			assert.Equal(t, int64(n+1), r.Offset)
			assert.Equal(t, r.Broken == nil, r.Reason == "")
			if r.Broken == nil {
				assert.Equal(t, int64(n+2), r.Place.Seq)
			} else {
				assert.Zero(t, r.Place)
			}
			reasons = append(reasons, r.Reason)
		}
		u := coupon.FailUndecodable
		assert.Equal(t, []coupon.FailReason{"", u, "", coupon.FailUnknownVersion, u, u, u, u, ""}, reasons)
		assert.Equal(t, int64(10), b.session.mark())
		b.stop()
		<-b.done
	})
}

func TestTheHeaderOfAttemptsIsBelievedWithinReason(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{"3": 3, "0": 0, "1000": 1000, "1001": 0, "-1": 0, "x": 0, "": 0, "999999999999": 0} {
		r, _ := recordOf(&sarama.ConsumerMessage{Headers: []*sarama.RecordHeader{
			{Key: []byte("traceparent"), Value: []byte("00-1")},
			{Key: []byte(journal.HeaderAttempts), Value: []byte(value)},
		}})
		assert.Equal(t, want, r.Attempts, value)
	}
}

func TestConfigurationThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	_, err := New(Config{}, newBook(), quiet(), prometheus.NewRegistry())
	require.ErrorContains(t, err, "kafka.group")
	require.ErrorContains(t, err, "batches of 0 records")
	require.ErrorContains(t, err, "stuck after")
	_, err = New(Config{
		Journal: kafkajournal.Config{Group: "g"}, BatchRecords: 1, BatchBytes: 1, StuckAfter: time.Second,
	}, newBook(), quiet(), prometheus.NewRegistry())
	require.ErrorContains(t, err, "kafka.brokers")
}

// Sarama's own settings that would lose records, or wait wrongly, if somebody put them back.
func TestSettingsThatLoseNothing(t *testing.T) {
	t.Parallel()
	s := Config{}.sarama()
	require.NoError(t, s.Validate())
	assert.Equal(t, sarama.OffsetOldest, s.Consumer.Offsets.Initial)
	assert.True(t, s.Consumer.Offsets.AutoCommit.Enable)
	assert.False(t, s.Consumer.Group.ResetInvalidOffsets)
	assert.Zero(t, s.Consumer.Fetch.Max)
	assert.False(t, s.Metadata.AllowAutoTopicCreation)
	assert.Less(t, letGo+commitEvery, s.Consumer.Group.Rebalance.Timeout)
	assert.Less(t, s.Consumer.Group.Rebalance.Timeout, s.Net.ReadTimeout)
	assert.LessOrEqual(t, 3*s.Consumer.Group.Heartbeat.Interval, s.Consumer.Group.Session.Timeout)
}
