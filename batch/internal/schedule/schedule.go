// Package schedule runs jobs again and again, each of them in one instance at a time.
//
// The leases that it takes only save work. Every job is safe when two instances run it at once, as happens when a lease
// runs out under an instance that was suspended.
package schedule

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// Leases keep other instances away.
type Leases interface {
	// Acquire takes the lease of that name for owner, or prolongs it; false when another owner has it.
	Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)
	// Release gives it back.
	Release(ctx context.Context, name, owner string) error
}

// Job is one thing to do regularly.
type Job struct {
	Name  string
	Every time.Duration // from one begin to the next; one that still runs is left alone
	Later bool          // the first run comes after Every, not at once
	// Run does it once and says what it did, for the log; "" when there was nothing to do.
	Run func(ctx context.Context) (did string, err error)
}

// Deps are what a schedule works with.
type Deps struct {
	Leases     Leases
	Lease      time.Duration // the longest a job runs
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// errElsewhere says that another instance has the job's lease.
var errElsewhere = errors.New("another instance runs this job")

// releaseTimeout bounds giving a lease back; one that is not given back runs out.
const releaseTimeout = 5 * time.Second

// Run runs the jobs, each of them at once (unless Later) and then by its interval, until ctx ends, and returns when the last has
// stopped.
func Run(ctx context.Context, d Deps, jobs []Job) error {
	m, err := newMetrics(d.Registerer)
	if err != nil {
		return err
	}
	scheduler, err := gocron.NewScheduler(
		gocron.WithDistributedLocker(&locker{leases: d.Leases, ttl: d.Lease, owner: rand.Text(), log: d.Log}),
		gocron.WithStopTimeout(d.Lease),
	)
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	for _, job := range jobs {
		options := []gocron.JobOption{gocron.WithName(job.Name), gocron.WithSingletonMode(gocron.LimitModeReschedule)}
		if !job.Later {
			options = append(options, gocron.WithStartAt(gocron.WithStartImmediately()))
		}
		_, err := scheduler.NewJob(gocron.DurationJob(job.Every), gocron.NewTask(func() { once(ctx, d, m, job) }), options...)
		if err != nil {
			return errors.Join(fmt.Errorf("schedule %s: %w", job.Name, err), scheduler.Shutdown())
		}
	}
	scheduler.Start()
	<-ctx.Done()
	if err := scheduler.Shutdown(); err != nil {
		return fmt.Errorf("stop the schedule: %w", err)
	}
	return nil
}

// once runs a job. Its error is for the log: the next run is the retry.
func once(ctx context.Context, d Deps, m *metrics, job Job) {
	if ctx.Err() != nil {
		return
	}
	run, cancel := context.WithTimeout(ctx, d.Lease)
	defer cancel()
	began := time.Now()
	did, err := job.Run(run)
	took := time.Since(began)
	switch {
	case ctx.Err() != nil:
		m.ran(job.Name, "stopped", took)
	case err != nil:
		m.ran(job.Name, "failed", took)
		d.Log.Warn("a job failed, the next run tries again", "job", job.Name, "took", took, "did", did, "error", err)
	default:
		m.ran(job.Name, "done", took)
		if did != "" {
			d.Log.Info(did, "job", job.Name, "took", took)
		}
	}
}

// locker gives gocron the leases of the ledger.
type locker struct {
	leases Leases
	ttl    time.Duration
	owner  string
	log    *slog.Logger
}

// Lock implements gocron.Locker.
func (l *locker) Lock(ctx context.Context, name string) (gocron.Lock, error) {
	name = "batch:" + name
	held, err := l.leases.Acquire(ctx, name, l.owner, l.ttl)
	if err != nil {
		if ctx.Err() == nil {
			l.log.Warn("a job is left out, its lease cannot be asked for", "lease", name, "error", err)
		}
		return nil, err
	}
	if !held {
		return nil, errElsewhere
	}
	return &lock{locker: l, name: name}, nil
}

type lock struct {
	*locker
	name string
}

// Unlock implements gocron.Lock.
func (l *lock) Unlock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := l.leases.Release(ctx, l.name, l.owner); err != nil {
		l.log.Warn("a lease is left to run out", "lease", l.name, "error", err)
		return err
	}
	return nil
}
