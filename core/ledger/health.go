package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// sayAgain is how often a trouble that lasts is in the log, and the least time between two lines of any kind: a
	// database that comes and goes by the second says no more than one that is away.
	sayAgain = time.Minute
	sayNext  = 5 * time.Second
	// checkTimeout is below what the listener for checks waits (2 s), so that a database that hangs is named.
	checkTimeout = 1500 * time.Millisecond
)

// health knows how the database is, by what became of what was asked of it.
type health struct {
	log *slog.Logger

	mu      sync.Mutex
	trouble Trouble
	since   time.Time // of the trouble
	err     error
	said    Trouble   // the last trouble in the log; none: that it works
	saidAt  time.Time // zero: never

	errs *prometheus.CounterVec // by trouble
	is   *prometheus.GaugeVec   // by trouble
	long prometheus.GaugeFunc
}

func newHealth(log *slog.Logger) *health {
	h := &health{
		log: log,
		errs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firstcome_database_errors_total",
			Help: "What the database could not do, by trouble; each was tried again or answered 503.",
		}, []string{"trouble"}),
		is: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "firstcome_database_trouble",
			Help: "1: this keeps the database from its work at present.",
		}, []string{"trouble"}),
	}
	h.long = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "firstcome_database_trouble_seconds",
		Help: "How long the present trouble has lasted; 0: there is none.",
	}, h.seconds)
	for _, t := range Troubles() {
		h.errs.WithLabelValues(string(t))
		h.is.WithLabelValues(string(t))
	}
	return h
}

func (h *health) collectors() []prometheus.Collector {
	return []prometheus.Collector{h.errs, h.is, h.long}
}

func (h *health) seconds() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.trouble == TroubleNone {
		return 0
	}
	return time.Since(h.since).Seconds()
}

// note takes in what became of a call. A lock that one transaction did not get is counted, and is no state of the whole
// database: the next transaction may pass. An error that is not the database's shows that it works.
func (h *health) note(err error) {
	if errors.Is(err, context.Canceled) {
		return // the caller left
	}
	t := TroubleOf(err)
	if t != TroubleNone {
		h.errs.WithLabelValues(string(t)).Inc()
	}
	if t.contention() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t != h.trouble {
		if h.trouble != TroubleNone {
			h.is.WithLabelValues(string(h.trouble)).Set(0)
		}
		if t != TroubleNone {
			h.is.WithLabelValues(string(t)).Set(1)
			h.since = time.Now()
		}
	}
	lasted := time.Since(h.since)
	h.trouble, h.err = t, err
	h.say(lasted)
}

// say logs a change of state, and a trouble that lasts every so often.
func (h *health) say(lasted time.Duration) {
	since := time.Since(h.saidAt)
	switch {
	case h.trouble == TroubleNone && h.said != TroubleNone:
		h.log.Info("the database works again", "was", h.said, "lasted", lasted)
	case h.trouble == TroubleNone, h.trouble == h.said && since < sayAgain, h.trouble != h.said && since < sayNext:
		return
	default:
		h.log.Warn(h.trouble.Words(), "trouble", h.trouble, "since", h.since, "error", h.err)
	}
	h.said, h.saidAt = h.trouble, time.Now()
}

// now is the present trouble in words, with its beginning; nil: none.
func (h *health) now() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.trouble == TroubleNone {
		return nil
	}
	return fmt.Errorf("since %s: %w", h.since.UTC().Format(time.RFC3339), named(h.err))
}

// Check looks whether the database can be worked with: it answers, has the schema of this build, and takes writes. Its
// error is a TroubleError and says since when.
func (b *Book) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := b.Ping(ctx)
	if err == nil {
		err = b.CheckSchema(ctx)
	}
	if err == nil && b.dialect == dialectMySQL {
		// Whether a server takes this user's writes only a write tells (read_only does not hold for every user). No lease
		// has that name, so that nothing is written and nothing locked.
		err = b.db.WithContext(ctx).Where("name = ?", "").Delete(&leaseRow{}).Error
	}
	b.health.note(err)
	if err == nil {
		return nil
	}
	if now := b.health.now(); now != nil {
		return now
	}
	return named(err) // a lock
}

// noted notes the outcome of a transaction.
func (b *Book) noted(err error) error {
	b.health.note(err)
	return err
}
