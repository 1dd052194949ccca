package ops

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry makes a registry with what every process shows: the Go runtime, the process, and the build as
// `firstcome_build_info`.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "firstcome_build_info",
		Help:        "Always 1; the label says which build this is.",
		ConstLabels: prometheus.Labels{"version": Version()},
	})
	build.Set(1)
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build,
	)
	return r
}
