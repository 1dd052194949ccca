package groupreader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
)

// book is a Writer that remembers what it was given and can be told to fail or to hang.
type book struct {
	mu      sync.Mutex
	down    error
	hang    chan struct{} // nil: does not; a write returns nil when it is closed
	deaf    bool          // hangs although its context has ended
	tries   int
	batches map[int32][][]ledger.Record // written
	tried   chan struct{}               // one for each attempt, as far as there is room
}

func newBook() *book {
	return &book{batches: map[int32][][]ledger.Record{}, tried: make(chan struct{}, 1000)}
}

var errDown = errors.New("dial tcp 127.0.0.1:3306: connection refused")

func (b *book) Write(ctx context.Context, batch []ledger.Record) error {
	b.mu.Lock()
	b.tries++
	down, hang, deaf := b.down, b.hang, b.deaf
	b.mu.Unlock()
	select {
	case b.tried <- struct{}{}:
	default:
	}
	if hang != nil {
		end := ctx.Done()
		if deaf {
			end = nil
		}
		select {
		case <-hang:
		case <-end:
			return ctx.Err()
		}
	}
	if down != nil {
		return down
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for from := 0; from < len(batch); { // what several partitions wrote together
		partition, to := batch[from].Partition, from
		for ; to < len(batch) && batch[to].Partition == partition; to++ {
			continue
		}
		b.batches[partition] = append(b.batches[partition], batch[from:to])
		from = to
	}
	return nil
}

func (b *book) set(down error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

func (b *book) attempts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tries
}

// offsets are those written of a partition, in the order in which they were.
func (b *book) offsets(partition int32) []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []int64
	for _, batch := range b.batches[partition] {
		for _, r := range batch {
			all = append(all, r.Offset)
		}
	}
	return all
}

// count is how many records were written, those written twice counted twice.
func (b *book) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, batches := range b.batches {
		for _, batch := range batches {
			n += len(batch)
		}
	}
	return n
}

// session and stream stand in for Sarama's session and claim of one partition.
type session struct {
	sarama.ConsumerGroupSession

	ctx    context.Context //nolint:containedctx // as Sarama's has it
	mu     sync.Mutex
	marked int64 // -1: nothing
}

func (s *session) Context() context.Context { return s.ctx }

func (s *session) MarkOffset(_ string, _ int32, offset int64, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marked = offset
}

func (s *session) mark() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marked
}

type stream struct{ messages chan *sarama.ConsumerMessage }

func (s *stream) Topic() string                            { return "t" }
func (s *stream) Partition() int32                         { return 3 }
func (s *stream) InitialOffset() int64                     { return 0 }
func (s *stream) HighWaterMarkOffset() int64               { return 0 }
func (s *stream) Messages() <-chan *sarama.ConsumerMessage { return s.messages }

// pauses stands in for the group: it knows what is paused.
type pauses struct {
	sarama.ConsumerGroup

	mu     sync.Mutex
	paused bool
	times  int
}

func (p *pauses) Pause(map[string][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = true
	p.times++
}

func (p *pauses) Resume(map[string][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = false
}

func (p *pauses) now() (paused bool, times int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused, p.times
}

// bench is one partition being consumed without any Kafka.
type bench struct {
	*Reader
	t       *testing.T
	book    *book
	session *session
	stream  *stream
	pauses  *pauses
	stop    context.CancelFunc // of the session
	done    chan struct{}      // ConsumeClaim has returned
}

func newBench(t *testing.T, batchRecords int) *bench {
	t.Helper()
	b := newBook()
	r, err := New(Config{
		Journal:      kafkajournal.Config{Brokers: []string{"127.0.0.1:1"}, Topic: "t", Group: "g"},
		BatchRecords: batchRecords, BatchBytes: 1 << 20, StuckAfter: time.Minute,
	}, b, quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	t.Cleanup(r.together.Close)
	p := &pauses{}
	r.group = p
	ctx, stop := context.WithCancel(context.Background())
	s := &session{ctx: ctx, marked: -1}
	return &bench{
		Reader: r, t: t, book: b, session: s, stop: stop, pauses: p, done: make(chan struct{}),
		stream: &stream{messages: make(chan *sarama.ConsumerMessage)},
	}
}

func (b *bench) start() {
	go func() {
		defer close(b.done)
		if err := (members{b.Reader}).ConsumeClaim(b.session, b.stream); err != nil {
			b.t.Error(err)
		}
	}()
}

// send hands a message over as Sarama does: it waits until it is taken.
func (b *bench) send(offset int64, value []byte) {
	b.stream.messages <- &sarama.ConsumerMessage{Offset: offset, Key: fmt.Appendf(nil, "u-%d", offset), Value: value, Partition: 3}
}

func good(n int64) []byte {
	return journal.Encode(nil, coupon.Place{
		CouponID: 7, UserID: fmt.Sprintf("u-%d", n), Nth: 1, Seq: n + 1, Epoch: 1,
		AcceptedAt: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
	})
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// deadAfterwards writes and is then never heard of again, as far as its caller can tell.
type deadAfterwards struct{ *book }

func (d *deadAfterwards) Write(ctx context.Context, batch []ledger.Record) error {
	return errors.Join(d.book.Write(ctx, batch), errDown)
}
