package reconcile

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type rebuildMetrics struct {
	tags    *prometheus.CounterVec
	holders prometheus.Counter
	seconds prometheus.Histogram
}

func newRebuildMetrics(reg prometheus.Registerer) rebuildMetrics {
	m := rebuildMetrics{
		tags: registered(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firstcome_rebuild_tags_total", Help: "Tags of rebuilds by outcome: opened, overtaken, leased, failed.",
		}, []string{"outcome"})),
		holders: registered(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firstcome_rebuild_holders_total", Help: "Places that opened gates were filled with.",
		})),
		seconds: registered(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "firstcome_rebuild_seconds", Help: "Time of one rebuild of a set of tags.",
			Buckets: prometheus.ExponentialBuckets(0.25, 2, 10), // M is below the first, two minutes are the last
		})),
	}
	for _, o := range outcomes() { // so that the first one is seen to rise
		m.tags.WithLabelValues(string(o))
	}
	return m
}

func outcomes() []Outcome { return []Outcome{Opened, Overtaken, Leased, Failed} }

func (m rebuildMetrics) done(r Report) {
	for _, o := range outcomes() {
		m.tags.WithLabelValues(string(o)).Add(float64(r.Count(o)))
	}
	m.holders.Add(float64(r.Holders()))
	m.seconds.Observe(r.Took.Seconds())
}

// registered registers c, or returns the collector of the same name that is there: one process may hold an api and the
// jobs of batch, which then count together. Any other failure is a mistake in this package, hence a panic.
func registered[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if same, ok := there.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil {
		panic(err)
	}
	return c
}
