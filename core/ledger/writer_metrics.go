package ledger

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/coupon"
)

// writerMetrics tells what the writer does.
type writerMetrics struct {
	records *prometheus.CounterVec // by outcome: issued, duplicate, or failed_<reason>
	sizes   prometheus.Histogram
	seconds *prometheus.HistogramVec // by result: ok, error
}

func newWriterMetrics(reg prometheus.Registerer) *writerMetrics {
	m := &writerMetrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firstcome_ledger_records_total",
			Help: "Records of the journal that are in the book, by what became of them.",
		}, []string{"outcome"}),
		sizes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "firstcome_ledger_batch_records",
			Help:    "Records of one batch.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7), // 1 to 4096; a batch of the consumer has at most 1000
		}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "firstcome_ledger_batch_seconds",
			Help:    "Time to write one batch, repetitions included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12), // 1 ms to 24 s
		}, []string{"result"}),
	}
	reg.MustRegister(m.records, m.sizes, m.seconds)
	for _, outcome := range []string{"issued", "duplicate"} {
		m.records.WithLabelValues(outcome)
	}
	return m
}

func (m *writerMetrics) batch(size int, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.sizes.Observe(float64(size))
	m.seconds.WithLabelValues(result).Observe(took.Seconds())
}

func (m *writerMetrics) outcome(name string, n int) {
	m.records.WithLabelValues(name).Add(float64(n))
}

func (m *writerMetrics) failed(reason coupon.FailReason, n int) {
	m.records.WithLabelValues("failed_" + string(reason)).Add(float64(n))
}
