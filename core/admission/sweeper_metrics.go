package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/coupon"
)

// sweepSum is what one pass saw and did.
type sweepSum struct {
	seen      int // places pending for longer than Age at coupons that no other sweeper has
	confirmed int
	oldest    time.Duration
}

// saw adds places, which are in order of age. The age is taken by this host's clock, which may be wrong; it is at least
// minAge, since that is what the gate was asked for.
func (s *sweepSum) saw(places []coupon.Place, minAge time.Duration) {
	if len(places) == 0 {
		return
	}
	s.seen += len(places)
	s.oldest = max(s.oldest, minAge, time.Since(places[0].AcceptedAt))
}

// sweeperMetrics shows what is pending and what becomes of it.
type sweeperMetrics struct {
	pending, oldest, passSeconds, lastPass prometheus.Gauge
	confirmed, unconfirmed, journalUnknown prometheus.Counter
	unsound, unknown                       prometheus.Counter
}

func newSweeperMetrics(reg prometheus.Registerer) *sweeperMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return registered(reg, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
	}
	swept := registered(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firstcome_admission_swept_total",
		Help: "Pending places that the sweeper took up, by outcome; only confirmed ones are settled.",
	}, []string{"outcome"}))
	looks := registered(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firstcome_admission_sweep_failures_total", Help: "Coupons that the sweeper could not look at, by reason.",
	}, []string{"reason"}))
	return &sweeperMetrics{
		pending: gauge("firstcome_admission_pending_places",
			"Places that this sweeper saw pending for longer than its age in its last pass."),
		oldest: gauge("firstcome_admission_pending_oldest_seconds",
			"Age of the oldest of them by this host's clock; 0 when there is none."),
		passSeconds: gauge("firstcome_admission_sweep_pass_seconds", "Time of the last pass over all live coupons."),
		lastPass: gauge("firstcome_admission_sweep_last_timestamp_seconds",
			"When the last pass over all live coupons ended, by this host's clock; 0 before the first."),
		confirmed: swept.WithLabelValues("confirmed"), unconfirmed: swept.WithLabelValues("unconfirmed"),
		journalUnknown: swept.WithLabelValues("journal_unknown"),
		unsound:        looks.WithLabelValues("unsound"), unknown: looks.WithLabelValues("unknown"),
	}
}

func (m *sweeperMetrics) passed(sum sweepSum, took time.Duration) {
	m.pending.Set(float64(sum.seen))
	m.oldest.Set(sum.oldest.Seconds())
	m.passSeconds.Set(took.Seconds())
	m.lastPass.SetToCurrentTime()
}
