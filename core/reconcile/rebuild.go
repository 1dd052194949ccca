package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	// maxTags bounds the tags of one pass, which share one wait of M, one noting of ends and one reading of the tail: they
	// wait for each other (a few seconds for as many small coupons), and their counts are in memory, 1 KB each.
	maxTags = 10_000
	// DefaultLease is for how long others leave a tag alone that is being rebuilt: twice what a million holders take
	// (measured: 80,000 a second from SQLite into the embedded Redis on two busy cores). A crashed rebuild holds up the
	// next one for as long.
	DefaultLease = 30 * time.Second
	// releaseTimeout bounds the last step, which is done also when the caller's time is over.
	releaseTimeout = 2 * time.Second
)

// Deps are what a Rebuilder works with; all are needed but the last three.
type Deps struct {
	Book       Book
	Gates      Gates
	Journal    Log
	M          time.Duration // for how long a refusal may be remembered: no gate opens sooner after its mark
	Owner      string        // who rebuilds, different for each process
	Log        *slog.Logger
	Registerer prometheus.Registerer

	ReplicaMaxLag time.Duration // how far Redis' replicas may lag behind; 0: none are read after a failover
	Lease         time.Duration // 0: DefaultLease
}

// Rebuilder brings back gates that were lost or cannot be trusted (rules 16 to 25). Any number of them may work at
// once on the same tags, and each may stop or fall asleep anywhere: of several attempts the one of the greatest epoch
// opens the gate. Its methods may be called at the same time.
type Rebuilder struct {
	deps    Deps
	metrics rebuildMetrics
}

// NewRebuilder makes a Rebuilder.
func NewRebuilder(d Deps) *Rebuilder {
	if d.Lease == 0 {
		d.Lease = DefaultLease
	}
	return &Rebuilder{deps: d, metrics: newRebuildMetrics(d.Registerer)}
}

// Rebuild closes the gates of these tags, sound or not, and opens them anew from book and journal, up to maxTags in one
// pass: one noting of ends, one reading of the journal, one wait of M. force leaves leases out of account; it is for
// people who know that the owner is gone. What became of each tag is in the report. The error is one that all tags had
// in common (book, journal or gates out of reach); the tags that it left shut are reported as failed too.
func (r *Rebuilder) Rebuild(ctx context.Context, tags []string, force bool) (Report, error) {
	return r.rebuild(ctx, tags, force, r.deps.Lease)
}

func (r *Rebuilder) rebuild(ctx context.Context, tags []string, force bool, lease time.Duration) (Report, error) {
	began := time.Now()
	tags = each(tags)
	var report Report
	var err error
	for start := 0; start < len(tags); start += maxTags {
		p := newPass(r, tags[start:min(start+maxTags, len(tags))])
		if err == nil {
			err = p.run(ctx, force, lease)
		} else {
			p.failAll(fmt.Errorf("not tried: %w", err))
		}
		report.Tags = append(report.Tags, p.reports...)
	}
	report.Took = time.Since(began)
	if err == nil && report.Count(Leased) == len(report.Tags) {
		return report, nil // nothing was done, and whoever waits for others asks every second
	}
	r.metrics.done(report)
	r.deps.Log.Info("rebuild", "opened", report.Count(Opened), "holders", report.Holders(), "overtaken", report.Count(Overtaken),
		"leased", report.Count(Leased), "failed", report.Count(Failed), "took", report.Took)
	return report, err
}

// each leaves out repetitions.
func each(tags []string) []string {
	seen := make(map[string]bool, len(tags))
	out := make([]string, 0, len(tags))
	for _, tag := range tags {
		if !seen[tag] {
			seen[tag] = true
			out = append(out, tag)
		}
	}
	return out
}

// release lets others at the tags again, whatever became of them.
func (r *Rebuilder) release(ctx context.Context, marks []coupon.Mark) {
	if len(marks) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := r.deps.Book.ReleaseLeases(ctx, marks); err != nil {
		r.deps.Log.Warn("leases of a rebuild are not released, they run out", "tags", len(marks), "error", err)
	}
}

// pause waits, or returns why it need not.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isUnknown says whether err leaves open what the gate did.
func isUnknown(err error) bool {
	return err != nil && !errors.Is(err, coupon.ErrOvertaken) && !errors.Is(err, coupon.ErrUnsound) && !errors.Is(err, coupon.ErrTooEarly)
}
