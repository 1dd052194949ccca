package batch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/publish"
	"github.com/firstcome/firstcome/core/reconcile"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/ops"
)

// refsKept bounds the coupons whose references are in memory; each has about 200 bytes, more in a large event.
const refsKept = 10_000

// tools are what the jobs work with: connections to ledger, gates and journal, and what stands on them.
type tools struct {
	cfg     config.Config
	opts    Options
	owner   string // in leases: different for each process
	book    *ledger.Book
	refs    *ledger.Refs
	gate    *redisgate.Gate
	journal *kafkajournal.Journal
	reader  *kafkajournal.Reader
	desk    *admission.Desk

	rebuilder *reconcile.Rebuilder
	queue     *reconcile.Queue // of gates that a job met unsound; works only while serve runs it
	publisher *publish.Publisher
	retrier   *reconcile.Retrier

	closers []func(context.Context) error
}

// openTools connects to everything and looks whether schema and topic are there.
func openTools(ctx context.Context, cfg config.Config, opts Options) (t *tools, err error) {
	t = &tools{cfg: cfg, opts: opts, owner: owner()}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close(ctx))
		}
	}()
	if t.opts.Registry == nil {
		t.opts.Registry = ops.NewRegistry()
	}
	book := ledgerConfig(cfg, opts)
	book.Registerer = t.opts.Registry
	if t.book, err = ledger.Open(ctx, book); err != nil {
		return t, err
	}
	t.closers = append(t.closers, func(context.Context) error { return t.book.Close() })
	if err = t.book.CheckSchema(ctx); err != nil {
		return t, err
	}
	t.refs = ledger.NewRefs(t.book, refsKept)
	if t.gate, err = redisgate.Open(ctx, gateConfig(cfg), opts.Log); err != nil {
		return t, err
	}
	t.closers = append(t.closers, func(context.Context) error { return t.gate.Close() })
	k := journalConfig(cfg)
	k.Seen = func(ctx context.Context) (map[int32]int64, error) { return t.book.Seen(ctx, k.Topic) }
	if t.reader, err = kafkajournal.NewReader(k, opts.Log); err != nil {
		return t, err
	}
	t.closers = append(t.closers, func(context.Context) error { return t.reader.Close() })
	if err = t.reader.CheckTopic(ctx); err != nil {
		return t, err
	}
	if t.journal, err = kafkajournal.Open(k, opts.Log, t.opts.Registry); err != nil {
		return t, err
	}
	t.closers = append(t.closers, t.journal.Close)
	t.build()
	t.closers = append(t.closers, t.desk.Close)
	return t, nil
}

// build makes what stands on the connections.
func (t *tools) build() {
	t.rebuilder = reconcile.NewRebuilder(reconcile.Deps{
		Book: t.book, Gates: t.gate, Journal: t.reader, M: t.cfg.Admission.MemoryTTL, Owner: t.owner, Log: t.opts.Log,
		Registerer: t.opts.Registry, ReplicaMaxLag: t.cfg.Redis.ReplicaMaxLag, Lease: t.cfg.Rebuild.Lease,
	})
	t.queue = reconcile.NewQueue(reconcile.QueueDeps{
		Rebuilder: t.rebuilder, Gates: t.gate, Live: t.refs, Leases: t.book, Log: t.opts.Log, Registerer: t.opts.Registry,
	})
	t.desk = admission.NewDesk(admission.DeskDeps{
		Gate: t.gate, Journal: countingJournal{t.journal}, Refs: t.refs, OnUnsound: t.queue.Unsound, Log: t.opts.Log,
		Registerer: t.opts.Registry, AnswerTimeout: t.cfg.Admission.AnswerTimeout,
	})
	t.retrier = reconcile.NewRetrier(reconcile.RetrierDeps{
		Book: t.book, Desk: replayer(t.desk), Decode: journal.Decode, Owner: t.owner, Log: t.opts.Log,
	})
	t.publisher = publish.New(publish.Deps{
		Book: t.book, Gate: t.gate, Refs: t.refs, M: t.cfg.Admission.MemoryTTL, OnUnsound: t.queue.Unsound, Log: t.opts.Log,
	})
}

// countingJournal writes the attempts that a replayed claim has behind it beside its record, so that a record that
// fails again goes on counting.
type countingJournal struct{ journal *kafkajournal.Journal }

// Append implements admission.Journal.
func (c countingJournal) Append(ctx context.Context, p coupon.Place) error {
	if n := reconcile.Attempts(ctx); n > 0 {
		return c.journal.AppendAttempt(ctx, p, n)
	}
	return c.journal.Append(ctx, p)
}

// replayer is the desk as the retrier sees it.
func replayer(desk *admission.Desk) reconcile.DeskFunc {
	return func(ctx context.Context, couponID int64, userID, key string) (coupon.Verdict, error) {
		outcome, err := desk.Replay(ctx, couponID, userID, key)
		return outcome.Verdict, err
	}
}

// close ends everything in the opposite order.
func (t *tools) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	var errs []error
	for i := len(t.closers) - 1; i >= 0; i-- {
		errs = append(errs, t.closers[i](ctx))
	}
	t.closers = nil
	return errors.Join(errs...)
}

// owner names this process to others.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("batch-%.40s-%d-%.6s", host, os.Getpid(), rand.Text())
}

func gateConfig(cfg config.Config) redisgate.Config {
	r := cfg.Redis
	return redisgate.Config{
		Mode: r.Mode, Addrs: r.Addrs, DB: r.DB, MasterName: r.MasterName, Username: r.Username, Password: r.Password.Reveal(),
	}
}

func journalConfig(cfg config.Config) kafkajournal.Config {
	return kafkajournal.Config{
		Brokers: cfg.Kafka.Brokers, Topic: cfg.Kafka.Topic, Group: cfg.Kafka.Group,
		Partitions: cfg.Kafka.Partitions, ClientID: "firstcome-batch", Timeout: cfg.Kafka.Timeout,
	}
}
