package admission

import "github.com/prometheus/client_golang/prometheus"

// memoryMetrics tell what the memory saves and what it costs.
type memoryMetrics struct {
	refused, asked, learned, evicted, tooLarge prometheus.Counter
	coupons, bytes                             prometheus.Gauge
}

func newMemoryMetrics(reg prometheus.Registerer) *memoryMetrics {
	counter := func(name, help string) prometheus.Counter {
		return registered(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	gauge := func(name, help string) prometheus.Gauge {
		return registered(reg, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
	}
	return &memoryMetrics{
		refused: counter("firstcome_admission_memory_refused_total", "Claims refused from memory, without the gate."),
		asked: counter("firstcome_admission_memory_asked_total",
			"Claims on remembered coupons that went to the gate, because their user may have a place: holders, and 1 % of the others."),
		learned:  counter("firstcome_admission_memory_learned_total", "Readings of a coupon's holders."),
		evicted:  counter("firstcome_admission_memory_evicted_total", "Coupons forgotten to make room for others."),
		tooLarge: counter("firstcome_admission_memory_too_large_total", "Coupons with more holders than the memory has room for."),
		coupons:  gauge("firstcome_admission_memory_coupons", "Coupons that are remembered or counted."),
		bytes:    gauge("firstcome_admission_memory_bytes", "Size of all filters of holders."),
	}
}
