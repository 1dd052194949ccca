package ops

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// healthMetrics shows what /readyz says. The checks are made at each scrape, like at each probe.
type healthMetrics struct {
	checks       *Checks
	state, since *prometheus.Desc
}

func newHealthMetrics(checks *Checks) *healthMetrics {
	return &healthMetrics{
		checks: checks,
		state: prometheus.NewDesc("firstcome_health_state",
			"What a check of /readyz says: 0 well, 1 out of reach and worked around, 2 failing.", []string{"check"}, nil),
		since: prometheus.NewDesc("firstcome_health_not_well_seconds",
			"For how long a check of /readyz has not been well; 0 when it is.", []string{"check"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (h *healthMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- h.state
	to <- h.since
}

// Collect implements prometheus.Collector.
func (h *healthMetrics) Collect(to chan<- prometheus.Metric) {
	results, _ := h.checks.Run(context.Background(), false) // it bounds itself
	for _, r := range results {
		state := 0.0
		switch {
		case !r.OK:
			state = 2
		case r.Degraded:
			state = 1
		}
		to <- prometheus.MustNewConstMetric(h.state, prometheus.GaugeValue, state, r.Name)
		to <- prometheus.MustNewConstMetric(h.since, prometheus.GaugeValue, h.checks.notWell(r.Name).Seconds(), r.Name)
	}
}
