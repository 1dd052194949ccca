package batch

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

const (
	// countEvery is the pause between two counts of failed events, countTimeout bounds one.
	countEvery   = 15 * time.Second
	countTimeout = 10 * time.Second
)

// failedCounts counts failed events; ledger.Book.
type failedCounts interface {
	FailedCounts(ctx context.Context) ([]ledger.FailedCount, error)
}

// failedGauges show the failed events that are not settled. Every instance shows the same.
type failedGauges struct {
	book   failedCounts
	log    *slog.Logger
	events *prometheus.GaugeVec
	oldest *prometheus.GaugeVec
}

func newFailedGauges(book failedCounts, log *slog.Logger, reg prometheus.Registerer) *failedGauges {
	f := &failedGauges{
		book: book, log: log,
		events: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "firstcome_failed_events",
			Help: "Failed events in the ledger, by status (waiting, quarantined) and reason; NaN when it could not be told.",
		}, []string{"status", "reason"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "firstcome_failed_events_oldest_seconds",
			Help: "Age of the oldest failed event of a status; 0 when there is none, NaN when it could not be told.",
		}, []string{"status"}),
	}
	reg.MustRegister(f.events, f.oldest)
	f.set(nil, math.NaN())
	return f
}

// Run counts from time to time until ctx ends.
func (f *failedGauges) Run(ctx context.Context) error {
	for {
		once, cancel := context.WithTimeout(ctx, countTimeout)
		counts, err := f.book.FailedCounts(once)
		cancel()
		if err != nil {
			f.set(nil, math.NaN())
			f.log.Debug("failed events could not be counted", "error", err)
		} else {
			f.set(counts, 0)
		}
		timer := time.NewTimer(countEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// set shows the counts; what is not among them is otherwise.
func (f *failedGauges) set(counts []ledger.FailedCount, otherwise float64) {
	for _, status := range []coupon.FailedStatus{coupon.FailedWaiting, coupon.FailedQuarantined} {
		f.oldest.WithLabelValues(string(status)).Set(otherwise)
		for _, reason := range []coupon.FailReason{
			coupon.FailUndecodable, coupon.FailUnknownVersion, coupon.FailUnknownCoupon, coupon.FailStaleEpoch, coupon.FailFutureEpoch,
			coupon.FailEventLimit, coupon.FailOverCap, coupon.FailNthTaken, coupon.FailRefusedByDB,
		} {
			f.events.WithLabelValues(string(status), string(reason)).Set(otherwise)
		}
	}
	ages := map[coupon.FailedStatus]float64{}
	for _, c := range counts {
		f.events.WithLabelValues(string(c.Status), string(c.Reason)).Set(float64(c.Events))
		ages[c.Status] = max(ages[c.Status], time.Since(c.Oldest).Seconds(), 0)
	}
	for status, age := range ages {
		f.oldest.WithLabelValues(string(status)).Set(age)
	}
}
