package kafkajournal

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// still is a producer that takes records and settles none until it is told to, like one that has stalled.
type still struct {
	sarama.AsyncProducer

	input     chan *sarama.ProducerMessage
	successes chan *sarama.ProducerMessage
	failures  chan *sarama.ProducerError
	deaf      bool // AsyncClose does nothing
}

func (s *still) Input() chan<- *sarama.ProducerMessage     { return s.input }
func (s *still) Successes() <-chan *sarama.ProducerMessage { return s.successes }
func (s *still) Errors() <-chan *sarama.ProducerError      { return s.failures }

// AsyncClose closes the input as Sarama does: whoever sends then panics.
func (s *still) AsyncClose() {
	if s.deaf {
		return
	}
	close(s.input)
	close(s.successes)
	close(s.failures)
}

type noClient struct{ sarama.Client }

func (noClient) Close() error { return nil }

func stillLine(t *testing.T, room int, deaf bool) (*line, *still) {
	t.Helper()
	tally, err := newTally(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), room)
	require.NoError(t, err)
	p := &still{
		input: make(chan *sarama.ProducerMessage, room), deaf: deaf,
		successes: make(chan *sarama.ProducerMessage), failures: make(chan *sarama.ProducerError),
	}
	l := &line{
		client: noClient{}, producer: p, tally: tally,
		retired: make(chan struct{}), settledAll: make(chan struct{}), gone: make(chan struct{}),
		failing: map[int32]time.Time{}, underWay: map[*delivery]struct{}{},
	}
	go l.settleAll()
	return l, p
}

// posted is a delivery whose outcomes, should there be more than one, can all be seen.
type posted struct {
	*delivery

	outcomes chan error
}

func newPosted() posted {
	outcomes := make(chan error, 2)
	d := &delivery{began: time.Now(), done: func(err error) { outcomes <- err }}
	d.record.Metadata = d
	return posted{d, outcomes}
}

func sent(t *testing.T, l *line) posted {
	t.Helper()
	d := newPosted()
	require.NoError(t, l.tally.reserve(t.Context()))
	require.NoError(t, l.send(t.Context(), d.delivery))
	return d
}

func TestALineThatSettlesNothingIsNoticedAndItsRoomComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, p := stillLine(t, 2, true)
		<-time.After(time.Hour) // by synctest's clock: a rest is no stall
		first, second := sent(t, l), sent(t, l)
		_, stalled := l.trouble(time.Now().Add(stalledFor - time.Second))
		assert.False(t, stalled)
		_, stalled = l.trouble(time.Now().Add(stalledFor + time.Second))
		assert.True(t, stalled)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, l.tally.reserve(ctx), ErrFull, "nobody gets room while it is held")

		l.retire()
		l.retire() // twice does no harm
		require.ErrorIs(t, l.send(t.Context(), &delivery{}), errRetired)
		<-l.gone
		assert.Empty(t, l.tally.slots, "the room of what is left behind is free again")

		require.ErrorIs(t, <-first.outcomes, errAbandoned)
		require.ErrorIs(t, <-second.outcomes, errAbandoned)

		p.successes <- &first.record // later than late
		p.failures <- &sarama.ProducerError{Msg: &second.record, Err: sarama.ErrShuttingDown}
		synctest.Wait()
		assert.Empty(t, l.tally.slots)
		assert.Empty(t, first.outcomes, "told once")
		assert.Empty(t, second.outcomes, "told once")
		p.deaf = false
		p.AsyncClose()
		<-l.settledAll
	})
}

func TestAPartitionThatOnlyFailsIsNoticedUntilItsNextSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, p := stillLine(t, 9, false)
		fails, works := sent(t, l), sent(t, l)
		fails.record.Partition, works.record.Partition = 4, 4
		p.failures <- &sarama.ProducerError{Msg: &fails.record, Err: errors.New("no")}
		require.Error(t, <-fails.outcomes)
		partition, _ := l.trouble(time.Now())
		assert.Equal(t, int32(-1), partition, "one failure is Sarama's own business")
		partition, _ = l.trouble(time.Now().Add(failingFor + time.Millisecond))
		assert.Equal(t, int32(4), partition)
		assert.False(t, l.hasAcked())
		p.successes <- &works.record
		require.NoError(t, <-works.outcomes)
		partition, _ = l.trouble(time.Now().Add(time.Hour))
		assert.Equal(t, int32(-1), partition)
		assert.True(t, l.hasAcked())
		l.retire()
		<-l.gone
	})
}

// A closed producer panics when it is sent to, so handing over and closing must never meet.
func TestRetiringWhileManyHandOver(t *testing.T) {
	t.Parallel()
	for range 50 {
		l, p := stillLine(t, 64, false)
		var wg sync.WaitGroup
		var taken, told atomic.Int64
		for n := range 64 {
			assert.True(t, l.tally.reserved())
			d := &delivery{done: func(error) { told.Add(1) }}
			d.record.Metadata = d
			wg.Go(func() {
				if n%2 == 0 && l.sendNow(d) {
					taken.Add(1)
					return
				}
				err := l.send(t.Context(), d)
				if err == nil {
					taken.Add(1)
					return
				}
				assert.ErrorIs(t, err, errRetired)
				l.tally.free(1)
			})
		}
		l.retire()
		wg.Wait()
		<-l.gone
		assert.Equal(t, taken.Load(), told.Load(), "each once, also those that the producer has lost")
		for range p.input { // empties what was handed over
		}
	}
}
