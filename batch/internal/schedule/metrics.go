package schedule

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	runs     *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	lastDone *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firstcome_batch_job_runs_total",
			Help: "Runs of the batch's jobs in this instance, by outcome: done, failed, stopped.",
		}, []string{"job", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "firstcome_batch_job_seconds",
			Help:    "How long a run took.",
			Buckets: []float64{.005, .02, .1, .5, 2, 10, 30, 120},
		}, []string{"job"}),
		lastDone: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "firstcome_batch_job_last_done_timestamp_seconds",
			Help: "When a run last ended well in this instance; an alarm looks at the newest of all instances.",
		}, []string{"job"}),
	}
	if err := errors.Join(reg.Register(m.runs), reg.Register(m.seconds), reg.Register(m.lastDone)); err != nil {
		return nil, fmt.Errorf("metrics of the schedule: %w", err)
	}
	return m, nil
}

func (m *metrics) ran(job, outcome string, took time.Duration) {
	m.runs.WithLabelValues(job, outcome).Inc()
	m.seconds.WithLabelValues(job).Observe(took.Seconds())
	if outcome == "done" {
		m.lastDone.WithLabelValues(job).SetToCurrentTime()
	}
}
