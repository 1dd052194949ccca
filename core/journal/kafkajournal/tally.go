package kafkajournal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// tally bounds and counts the records that were taken and not settled.
type tally struct {
	log     *slog.Logger
	slots   chan struct{} // one for each record
	acked   prometheus.Counter
	unknown prometheus.Counter
	seconds prometheus.Histogram
}

func newTally(log *slog.Logger, reg prometheus.Registerer, most int) (*tally, error) {
	records := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firstcome_journal_records_total",
		Help: "Records handed to Kafka, by outcome: acked, or unknown (it may be there or not).",
	}, []string{"outcome"})
	t := &tally{
		log:     log,
		slots:   make(chan struct{}, most),
		acked:   records.WithLabelValues("acked"),
		unknown: records.WithLabelValues("unknown"),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "firstcome_journal_ack_seconds", Help: "Time from taking a record to Kafka's acknowledgement.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15), // 0.5 ms to 8 s
		}),
	}
	inFlight := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "firstcome_journal_in_flight", Help: "Records taken and not settled.",
	}, func() float64 { return float64(len(t.slots)) })
	return t, errors.Join(reg.Register(records), reg.Register(t.seconds), reg.Register(inFlight))
}

// reserved takes a slot for one record, if there is one.
func (t *tally) reserved() bool {
	select {
	case t.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// reserve takes a slot for one record.
func (t *tally) reserve(ctx context.Context) error {
	if t.reserved() {
		return nil
	}
	select {
	case t.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %d: %w", ErrFull, cap(t.slots), ctx.Err())
	}
}

func (t *tally) free(n int) {
	for range n {
		<-t.slots
	}
}

func (t *tally) settled(took time.Duration, err error) {
	if err != nil {
		t.unknown.Inc()
		return
	}
	t.acked.Inc()
	t.seconds.Observe(took.Seconds())
}
