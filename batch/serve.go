package batch

import (
	"context"
	"errors"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/batch/internal/schedule"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/support/checkup"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/lifecycle"
	"github.com/firstcome/firstcome/core/support/ops"
)

// Run is `batch serve`: the jobs on their schedule until ctx ends.
func Run(ctx context.Context, cfg config.Config, opts Options) error {
	opts = opts.withDefaults()
	if opts.Registry == nil {
		opts.Registry = ops.NewRegistry()
	}
	g := lifecycle.NewGroup(opts.Log, 0)
	addr := ""
	if opts.Ops {
		listener, err := ops.Listen(ctx, cfg.Ops.Addr)
		if err != nil {
			return err
		}
		addr = listener.Addr().String()
		opts.Checks = serveOps(g, listener, cfg.Ops, opts)
	}
	start := &lifecycle.Starting{Log: opts.Log}
	opts.Checks("start", start.Check, false)
	g.Go("jobs", func(ctx context.Context) error { return serveJobs(ctx, cfg, opts, start, addr) })
	return g.Run(ctx)
}

// serveJobs opens everything, waiting for servers that are away, and runs the jobs and the rebuild queue until ctx ends.
func serveJobs(ctx context.Context, cfg config.Config, opts Options, start *lifecycle.Starting, addr string) (err error) {
	var t *tools
	err = start.Until(ctx, comesBack, func(ctx context.Context) (err error) {
		t, err = openTools(ctx, cfg, opts)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	look := checkup.New(checkup.Deps{
		Config: checkup.ConfigOf(config.Batch, cfg), Redis: t.gate.Facts, Kafka: t.reader.Facts, Database: t.book.Facts,
		Allow: cfg.Checks.Allow, Log: opts.Log, Registerer: opts.Registry,
	})
	if err = look.Start(ctx); err != nil {
		return err
	}
	opts.Checks("rebuild", func(context.Context) error {
		if trouble := t.queue.Rebuilding(); trouble != nil {
			return &ops.DegradedError{Err: trouble}
		}
		return nil
	}, false)
	opts.Checks("assumptions", look.Ready, false)
	opts.Checks("database", t.book.Check, false)
	opts.Checks("redis", t.gate.Ping, false)
	opts.Checks("kafka", t.reader.CheckTopic, false)
	audits, err := newAuditMetrics(opts.Registry)
	if err != nil {
		return err
	}
	start.Done()
	opts.Ready(addr)

	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return t.queue.Run(ctx) })
	all.Go(func() error { return look.Run(ctx) })
	all.Go(func() error { return newFailedGauges(t.book, opts.Log, opts.Registry).Run(ctx) })
	all.Go(func() error {
		return schedule.Run(ctx, schedule.Deps{
			Leases: t.book, Lease: cfg.Batch.Lease, Log: opts.Log, Registerer: opts.Registry,
		}, t.schedule(audits))
	})
	return all.Wait()
}

// comesBack says whether a server is only away. A topic or a schema that is missing, and a server that refuses, do not
// heal by waiting.
func comesBack(err error) bool {
	return !errors.Is(err, kafkajournal.ErrTopicMissing) && (ledger.Passes(err) || lifecycle.Away(err))
}

// serveOps adds the ops listener to the group and returns where its checks go.
func serveOps(g *lifecycle.Group, listener net.Listener, cfg config.Ops, opts Options) func(string, func(context.Context) error, bool) {
	server := ops.New(ops.Options{Role: string(config.Batch), Gatherer: opts.Registry, Log: opts.Log, Profile: cfg.Profile})
	g.OnStop("ops listener", func(context.Context) error {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	g.Go("ops", func(ctx context.Context) error { return server.Serve(ctx, listener) })
	return server.Add
}

// schedule is what serve does, and how often.
func (t *tools) schedule(m *auditMetrics) []schedule.Job {
	b := t.cfg.Batch
	return []schedule.Job{
		{Name: "retry", Every: b.RetryEvery, Run: func(ctx context.Context) (string, error) {
			_, err := t.retry(ctx, b.RetryLimit) // the retrier logs what it did
			return "", err
		}},
		{Name: "rebuild", Every: b.RebuildEvery, Run: func(ctx context.Context) (string, error) {
			_, err := t.rebuild(ctx, RebuildRequest{}) // the rebuilder logs what it did
			return "", err
		}},
		{Name: "changes", Every: b.ChangesEvery, Run: t.changes},
		// Not at once: what a start finds, the roles put right by themselves in the first seconds.
		{Name: "reconcile", Every: b.ReconcileEvery, Later: true, Run: t.reconcileJob(m, t.owner)},
	}
}
