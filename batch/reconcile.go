package batch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/audit"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/reconcile"
	"github.com/firstcome/firstcome/core/support/config"
)

const (
	// reconcileLease keeps other instances from repairing the same at the same time, those on a schedule (whose job has a
	// lease of its own) and those that a person runs. Nothing rests on it.
	reconcileLease = "reconcile"
	// rounds bounds how often is verified and repaired: one repair may bring to light what the next one mends, a lost
	// row its gate, for example.
	rounds = 3
)

// ErrRemains says that something is still wrong after all repairs.
var ErrRemains = errors.New("something remains that could not be repaired; a person decides")

// errOtherRepairs says that another instance has the lease.
var errOtherRepairs = errors.New("another instance is repairing: it has the lease reconcile")

// Reconciled is what a reconcile came to.
type Reconciled struct {
	Before audit.Report       // what was found
	Done   []reconcile.Repair // what was done about it
	After  audit.Report       // what remains
}

// Reconcile compares rows, log and gates, repairs what can be repaired by the product's own ways, and compares again.
// ErrRemains: not everything is right now. An audit.BlindError says which of the three could not be looked at.
func Reconcile(ctx context.Context, cfg config.Config, opts Options, req VerifyRequest) (r Reconciled, err error) {
	return withTools(ctx, cfg, opts, func(t *tools) (Reconciled, error) { return t.reconcile(ctx, req, t.owner, everything) })
}

// Republish puts back into the journal what is pending or missing there; with dryRun it only says what it would do.
func Republish(ctx context.Context, cfg config.Config, opts Options, req VerifyRequest, dryRun bool) (r Reconciled, err error) {
	if dryRun {
		r.Before, err = Verify(ctx, cfg, req)
		for _, f := range r.Before.Of(audit.StuckPending, audit.GhostRow, audit.LostPromise) {
			if f.Place != nil || f.Type == audit.StuckPending {
				r.Done = append(r.Done, reconcile.Repair{What: fmt.Sprintf("would put into the journal: %v (%s)", f.Subject, f.Type)})
			}
		}
		r.After = r.Before
		if err == nil && !r.After.Clean {
			err = ErrRemains
		}
		return r, err
	}
	return withTools(ctx, cfg, opts, func(t *tools) (Reconciled, error) { return t.reconcile(ctx, req, t.owner, journalOnly) })
}

func withTools(ctx context.Context, cfg config.Config, opts Options, do func(*tools) (Reconciled, error)) (r Reconciled, err error) {
	t, err := openTools(ctx, cfg, opts.withDefaults())
	if err != nil {
		return Reconciled{}, &audit.BlindError{Book: "stack", Err: err}
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	return do(t)
}

// reconcile is verify and repair in turn, until nothing is left that a repair could change.
func (t *tools) reconcile(ctx context.Context, req VerifyRequest, owner string, choose func(reconcile.Damage) reconcile.Damage) (r Reconciled, err error) {
	mender := t.mender(owner)
	if err = mender.Fence(ctx); err != nil {
		return r, err
	}
	defer func() {
		err = errors.Join(err, t.release(ctx, owner))
	}()
	for round := range rounds {
		if r.After, err = Verify(ctx, t.cfg, req); err != nil {
			return r, err
		}
		if round == 0 {
			r.Before = r.After
		}
		damage := choose(damageOf(r.After))
		if empty(damage) {
			break
		}
		var done []reconcile.Repair
		done, err = reconcile.Mend(ctx, mender, damage)
		r.Done = append(r.Done, done...)
		if err != nil {
			return r, err
		}
		if round == rounds-1 {
			r.After, err = Verify(ctx, t.cfg, req)
		}
	}
	if err == nil && !r.After.Clean {
		err = ErrRemains
	}
	return r, err
}

func (t *tools) release(ctx context.Context, owner string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return t.book.Release(ctx, reconcileLease, owner)
}

func everything(d reconcile.Damage) reconcile.Damage { return d }

func journalOnly(d reconcile.Damage) reconcile.Damage {
	return reconcile.Damage{Pending: d.Pending, Unlogged: d.Unlogged, Promised: d.Promised}
}

func empty(d reconcile.Damage) bool {
	return !d.Changes && !d.Pending && !d.Overdue &&
		len(d.Records)+len(d.Unlogged)+len(d.Promised)+len(d.Tags)+len(d.Counters) == 0
}

// damageOf picks what can be repaired out of what was found.
func damageOf(r audit.Report) reconcile.Damage {
	d := reconcile.Damage{Keep: map[string]error{}}
	shut := map[string]bool{} // gates that decide nothing: whoever meets one has it rebuilt anyway
	for _, f := range r.Findings {
		switch f.Type {
		case audit.ChangeHalfDone:
			d.Changes = true
		case audit.StuckPending:
			d.Pending = true
		case audit.FailedEventOverdue:
			d.Overdue = d.Overdue || f.Severity == audit.TooLong
		case audit.RecordUnaccounted, audit.RecordUndecodable:
			if f.Record != nil {
				d.Records = append(d.Records, recordOf(f))
			}
		case audit.GhostRow:
			if f.Place != nil {
				d.Unlogged = append(d.Unlogged, placeOf(f.Place))
			}
		case audit.LostPromise:
			if f.Place != nil {
				d.Promised = append(d.Promised, placeOf(f.Place))
			}
		case audit.GateDrift, audit.TermsDrift, audit.StaleEpoch:
			d.Tags = append(d.Tags, f.Subject.Tag)
			shut[f.Subject.Tag] = shut[f.Subject.Tag] || f.Type == audit.StaleEpoch
		case audit.CounterDrift:
			d.Counters = append(d.Counters, f.Subject.Coupon)
		case audit.Displaced:
			// A rebuild would forget who was promised a place, and make holders of those who took it.
			d.Keep[f.Subject.Tag] = errors.New("places of it were taken by planted records: a person decides first")
		}
	}
	maps.DeleteFunc(d.Keep, func(tag string, _ error) bool { return shut[tag] })
	return d
}

func placeOf(p *audit.Place) coupon.Place {
	return coupon.Place{
		CouponID: p.Coupon, UserID: p.User, Nth: p.Nth, Key: p.Key, Seq: p.Seq, Epoch: p.Epoch,
		AcceptedAt: time.UnixMicro(p.AcceptedUS).UTC(),
	}
}

func recordOf(f audit.Finding) reconcile.JournalRecord {
	r := reconcile.JournalRecord{Partition: f.Record.Partition, Offset: f.Record.Offset, Key: f.Record.Key, Value: f.Record.Value}
	if r.Value == nil && f.Place != nil {
		p := placeOf(f.Place)
		r.Key, r.Value = []byte(p.UserID), journal.Encode(nil, p)
	}
	return r
}

// mender are the product's own ways to put things right.
func (t *tools) mender(owner string) reconcile.Tools {
	sweeper := func(ctx context.Context) (int, int, error) {
		s := admission.NewSweeper(admission.SweeperDeps{
			Gate: t.gate, Journal: t.journal, Coupons: t.refs, OnUnsound: t.queue.Noticed,
			Log: t.opts.Log, Registerer: prometheus.NewRegistry(), Owner: owner, Age: t.cfg.Sweeper.Age, Batch: t.cfg.Sweeper.Batch,
		})
		return s.Once(ctx)
	}
	return reconcile.Tools{
		Finish: t.publisher.Finish,
		Sweep:  sweeper,
		Judge:  t.judge,
		Append: t.journal.Append,
		Replay: func(ctx context.Context, p coupon.Place) (coupon.Verdict, error) {
			outcome, err := t.desk.Replay(ctx, p.CouponID, p.UserID, p.Key)
			return outcome.Verdict, err
		},
		Rebuild: func(ctx context.Context, tags []string) (reconcile.Report, error) {
			return t.rebuilder.Rebuild(ctx, tags, false)
		},
		Recount: t.book.Recount,
		Retry: func(ctx context.Context) (reconcile.RetryReport, error) {
			return t.retrier.Run(ctx, t.cfg.Batch.RetryLimit)
		},
		Fence: func(ctx context.Context) error {
			held, err := t.book.Acquire(ctx, reconcileLease, owner, t.cfg.Batch.Lease)
			if err == nil && !held {
				err = errOtherRepairs
			}
			return err
		},
	}
}

// judge does with one record what a consumer does.
func (t *tools) judge(ctx context.Context, r reconcile.JournalRecord) error {
	writer := ledger.NewWriter(t.book, ledger.WriterOptions{
		Topic: t.cfg.Kafka.Topic, Log: t.opts.Log, Registerer: prometheus.NewRegistry(), Coupons: 1,
	})
	record := ledger.Record{Partition: r.Partition, Offset: r.Offset, Key: r.Key, Payload: r.Value}
	var err error
	if record.Place, err = journal.Decode(r.Value); err != nil {
		record.Broken, record.Reason = err, journal.Reason(err)
	}
	return writer.Write(ctx, []ledger.Record{record})
}

// auditMetrics say what the latest comparison found.
type auditMetrics struct {
	findings *prometheus.GaugeVec
	seconds  prometheus.Gauge
	last     prometheus.Gauge
}

func newAuditMetrics(reg prometheus.Registerer) (*auditMetrics, error) {
	m := &auditMetrics{
		findings: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "firstcome_audit_findings", Help: "Findings by type that remained after the latest reconcile of this instance; NaN before the first.",
		}, []string{"type"}),
		seconds: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firstcome_audit_seconds", Help: "How long the latest comparison of database, log and gates took.",
		}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firstcome_audit_last_timestamp_seconds", Help: "When the three books were last compared; an alarm looks at the newest of all instances.",
		}),
	}
	for _, k := range audit.Kinds() {
		m.findings.WithLabelValues(string(k.Type)).Set(math.NaN()) // not looked yet
	}
	return m, errors.Join(reg.Register(m.findings), reg.Register(m.seconds), reg.Register(m.last))
}

func (m *auditMetrics) observe(r audit.Report) {
	for _, k := range audit.Kinds() {
		m.findings.WithLabelValues(string(k.Type)).Set(float64(r.Count(k.Type)))
	}
	m.seconds.Set(r.Seconds)
	m.last.SetToCurrentTime()
}

// reconcileJob is reconcile on the schedule. What remains is told by log and metrics, and is no failure of the job.
func (t *tools) reconcileJob(m *auditMetrics, owner string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		r, err := t.reconcile(ctx, VerifyRequest{Settle: DefaultSettle}, owner, everything)
		if err == nil || errors.Is(err, ErrRemains) {
			m.observe(r.After)
		}
		for _, f := range r.After.Findings {
			t.opts.Log.Warn("database, log and gates do not agree", "type", f.Type, "severity", f.Severity, "about", f.Subject.String(),
				"evidence", f.Evidence, "repair", f.Repair)
		}
		lines := make([]string, len(r.Done))
		for i, d := range r.Done {
			lines[i] = d.String()
		}
		if errors.Is(err, ErrRemains) {
			err = nil
		}
		return strings.Join(lines, "; "), err
	}
}
