package admission

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/coupon"
)

// deskMetrics counts what the desk answers and times what it waits for.
type deskMetrics struct {
	accepted, repeated              prometheus.Counter
	refusals                        map[coupon.Verdict]prometheus.Counter
	unsound, busy, unknown, invalid prometheus.Counter // invalid: an unknown coupon, a bad user id or key
	batch, confirmBatch             prometheus.Histogram
	admit, confirm                  prometheus.Histogram
	journal                         prometheus.Histogram
	journalUnknown                  prometheus.Counter
	lateConfirmed, lateUnknown      prometheus.Counter
}

func newDeskMetrics(reg prometheus.Registerer) *deskMetrics {
	claims := registered(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firstcome_admission_claims_total",
		Help: "Answers to claims by verdict; accepted is a new place, repeated one the user had.",
	}, []string{"verdict"}))
	groups := registered(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "firstcome_admission_batch_size", Help: "Claims or confirmations that went to the gate together.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 10), // to groupMax
	}, []string{"call"}))
	seconds := registered(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "firstcome_admission_gate_seconds", Help: "Time of one group call to the gate.",
		Buckets: secondsBuckets(),
	}, []string{"call"}))
	late := registered(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firstcome_admission_late_total",
		Help: "Places whose journey ended after their claim was answered unavailable, by how it ended.",
	}, []string{"outcome"}))
	m := &deskMetrics{
		accepted: claims.WithLabelValues("accepted"), repeated: claims.WithLabelValues("repeated"),
		unsound: claims.WithLabelValues("unsound"), busy: claims.WithLabelValues("busy"),
		unknown: claims.WithLabelValues("unknown"), invalid: claims.WithLabelValues("invalid"),
		refusals: map[coupon.Verdict]prometheus.Counter{},
		batch:    histogram(groups, "admit"), confirmBatch: histogram(groups, "confirm"),
		admit: histogram(seconds, "admit"), confirm: histogram(seconds, "confirm"),
		journal: registered(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "firstcome_admission_journal_seconds", Help: "Time from handing a place to the journal to its answer.",
			Buckets: secondsBuckets(),
		})),
		journalUnknown: registered(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firstcome_admission_journal_unknown_total", Help: "Places that the journal did not acknowledge.",
		})),
		lateConfirmed: late.WithLabelValues("confirmed"), lateUnknown: late.WithLabelValues("unknown"),
	}
	for v := coupon.Revoked; v <= coupon.SoldOut; v++ {
		m.refusals[v] = claims.WithLabelValues(v.String())
	}
	return m
}

func (m *deskMetrics) count(out Outcome, err error) {
	switch {
	case err != nil:
		m.countError(err)
	case out.Again:
		m.repeated.Inc()
	case out.Verdict.Place():
		m.accepted.Inc()
	default:
		m.refusals[out.Verdict].Inc()
	}
}

func (m *deskMetrics) countError(err error) {
	switch {
	case errors.Is(err, ErrBusy):
		m.busy.Inc()
	case errors.Is(err, coupon.ErrUnsound):
		m.unsound.Inc()
	case errors.Is(err, coupon.ErrNotFound) || malformed(err):
		m.invalid.Inc()
	default:
		m.unknown.Inc()
	}
}

func (m *deskMetrics) admitted(claims int, took time.Duration) {
	m.batch.Observe(float64(claims))
	m.admit.Observe(took.Seconds())
}

func (m *deskMetrics) confirmed(places int, took time.Duration) {
	m.confirmBatch.Observe(float64(places))
	m.confirm.Observe(took.Seconds())
}

func (m *deskMetrics) appended(took time.Duration, err error) {
	m.journal.Observe(took.Seconds())
	if err != nil {
		m.journalUnknown.Inc()
	}
}

func (m *deskMetrics) wasLate(err error) {
	if err != nil {
		m.lateUnknown.Inc()
		return
	}
	m.lateConfirmed.Inc()
}

// secondsBuckets reach from a quick call on the same machine to the default answer timeout.
func secondsBuckets() []float64 { return prometheus.ExponentialBuckets(0.0005, 2, 13) }

// histogram is one series of a vector, at the type that can be read as well as written.
func histogram(of *prometheus.HistogramVec, label string) prometheus.Histogram {
	return of.WithLabelValues(label).(prometheus.Histogram) // what the vector makes
}

// registered registers c, or returns the collector of the same name that is there: one process may hold several desks
// (an api and the jobs of batch), which then count together. Any other failure is a mistake in this file, hence a panic.
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

// quiet is how long occasional keeps silent after a line.
const quiet = 10 * time.Second

// occasional logs what may happen thousands of times a second: one line, then at most one each quiet with the number of
// those left out.
type occasional struct {
	log *slog.Logger

	mu      sync.Mutex
	next    time.Time
	omitted int
}

func (o *occasional) warn(msg string, args ...any) {
	o.mu.Lock()
	now := time.Now()
	if now.Before(o.next) {
		o.omitted++
		o.mu.Unlock()
		return
	}
	omitted := o.omitted
	o.next, o.omitted = now.Add(quiet), 0
	o.mu.Unlock()
	o.log.Warn(msg, append(args, "omitted", omitted)...)
}
