package groupreader

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lagEvery is how often the ends of the log are asked for. While a partition is paused nothing else would tell them.
const lagEvery = 5 * time.Second

type metrics struct {
	records  *prometheus.CounterVec // by form: good, broken
	failures prometheus.Counter
	lag      *prometheus.GaugeVec // by partition, this member's only
}

func newMetrics(reg prometheus.Registerer, p *progress) (*metrics, error) {
	m := &metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firstcome_consumer_records_read_total",
			Help: "Records read from the journal, by form: good, or broken (undecodable or of an unknown version).",
		}, []string{"form"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firstcome_consumer_write_failures_total",
			Help: "Attempts to write a batch that failed; the batch is tried again.",
		}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "firstcome_consumer_lag_records",
			Help: "Records in the journal and not yet in the ledger: accepted and not yet issued. This member's partitions.",
		}, []string{"partition"}),
	}
	m.records.WithLabelValues("good")
	m.records.WithLabelValues("broken")
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "firstcome_consumer_oldest_unwritten_seconds",
		Help: "Time since the oldest place that this member has read and not written was accepted; 0 when there is none.",
	}, func() float64 {
		return p.age(time.Now()).Seconds()
	})
	return m, errors.Join(reg.Register(m.records), reg.Register(m.failures), reg.Register(m.lag), reg.Register(age))
}

func (m *metrics) read(good bool) {
	if good {
		m.records.WithLabelValues("good").Inc()
	} else {
		m.records.WithLabelValues("broken").Inc()
	}
}

func label(partition int32) string { return strconv.Itoa(int(partition)) }

func (r *Reader) watchLag(ctx context.Context) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.measureLag(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (r *Reader) measureLag(ctx context.Context) {
	if len(r.progress.nexts()) == 0 {
		return
	}
	ends, err := r.ends.Ends(ctx)
	if err != nil {
		return // the group's own trouble says so already; the gauge keeps its last value
	}
	for partition, next := range r.progress.nexts() {
		if end, there := ends[partition]; there {
			r.metrics.lag.WithLabelValues(label(partition)).Set(float64(max(end-next, 0)))
		}
	}
}
