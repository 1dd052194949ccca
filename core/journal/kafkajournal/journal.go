package kafkajournal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal"
)

// recordRoom is what Encode usually needs: a record with short ids has about 115 bytes.
const recordRoom = 160

// Journal publishes places. It is safe for concurrent use, and many at once are what makes it fast: Sarama puts
// together what comes in while a request is under way.
type Journal struct {
	cfg    Config
	tally  *tally
	keeper *keeper
}

// Open starts connecting in the background and returns at once; the error is about the configuration only. See
// CheckTopic for whether the brokers and the topic are there.
func Open(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Journal, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	t, err := newTally(log, reg, MaxInFlight)
	if err != nil {
		return nil, err
	}
	return &Journal{cfg: cfg, tally: t, keeper: newKeeper(cfg, t, log)}, nil
}

// Append returns nil when every in-sync replica has the place's record. A coupon.FieldError: the place cannot stand in
// a journal, and nothing was sent. Any other error: unknown, the record may be there or come to be there.
func (j *Journal) Append(ctx context.Context, p coupon.Place) error {
	return j.append(ctx, p, nil)
}

// AppendAttempt is Append for a place that became a failed event so many times before; the record's header says so.
func (j *Journal) AppendAttempt(ctx context.Context, p coupon.Place, attempts int) error {
	return j.append(ctx, p, []sarama.RecordHeader{
		{Key: []byte(journal.HeaderAttempts), Value: strconv.AppendInt(nil, int64(attempts), 10)},
	})
}

func (j *Journal) append(ctx context.Context, p coupon.Place, headers []sarama.RecordHeader) error {
	if err := journal.Check(p); err != nil {
		return err
	}
	if err := j.tally.reserve(ctx); err != nil {
		return err
	}
	done := make(chan error, 1) // holds one: settling never waits for the one who asked
	d := j.deliver(p, headers, func(err error) { done <- err })
	if err := j.hand(ctx, d); err != nil {
		j.tally.free(1)
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no acknowledgement in time: %w", ctx.Err())
	}
}

// Send implements admission.Sender. What it has taken is settled within the time of Sarama's repetitions, and at the
// latest when the connection is given up as stalled (stalledFor and abandonAfter).
func (j *Journal) Send(_ context.Context, p coupon.Place, done func(error)) bool {
	if journal.Check(p) != nil || !j.tally.reserved() {
		return false
	}
	if l, _, _ := j.keeper.state(); l != nil && l.sendNow(j.deliver(p, nil, done)) {
		return true
	}
	j.tally.free(1)
	return false
}

func (j *Journal) deliver(p coupon.Place, headers []sarama.RecordHeader, done func(error)) *delivery {
	d := &delivery{began: time.Now(), done: done}
	d.record = sarama.ProducerMessage{
		Topic: j.cfg.Topic, Headers: headers, Metadata: d,
		Key:   sarama.StringEncoder(p.UserID),
		Value: sarama.ByteEncoder(journal.Encode(make([]byte, 0, recordRoom), p)),
	}
	return d
}

// hand gives the record to a line that takes it.
func (j *Journal) hand(ctx context.Context, d *delivery) error {
	for {
		l, err := j.keeper.get(ctx)
		if err != nil {
			return err
		}
		err = l.send(ctx, d)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errRetired): // a retired line is followed by another
			return fmt.Errorf("not sent in time: %w", err)
		}
	}
}

// CheckTopic says whether the brokers answer and the topic is there: ErrTopicMissing, or why it cannot be told.
func (j *Journal) CheckTopic(ctx context.Context) error { return CheckTopic(ctx, j.cfg) }

// Ping says whether records can be sent now, and why not.
func (j *Journal) Ping(ctx context.Context) error {
	l, _, why := j.keeper.state()
	if l == nil {
		return why
	}
	_, err := await(ctx, func() (struct{}, error) { return struct{}{}, l.usable() })
	return j.cfg.explain(err)
}

// Close takes no more places and waits until those under way are settled, at most as long as ctx lasts. An error means
// that some are unknown.
func (j *Journal) Close(ctx context.Context) error { return j.keeper.close(ctx) }
