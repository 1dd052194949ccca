package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/firstcome/firstcome/api/internal/auth"
	"github.com/firstcome/firstcome/api/internal/backlog"
	"github.com/firstcome/firstcome/api/internal/httpapi"
	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/publish"
	"github.com/firstcome/firstcome/core/reconcile"
	"github.com/firstcome/firstcome/core/support/checkup"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/lifecycle"
	"github.com/firstcome/firstcome/core/support/ops"
)

// stages are the parts of the pipeline that an api works with.
type stages struct {
	cfg   config.Config
	opts  Options
	owner string // in leases: different for each process

	book    *ledger.Book
	refs    *ledger.Refs
	gate    *redisgate.Gate
	journal *kafkajournal.Journal
	reader  *kafkajournal.Reader
	queue   *reconcile.Queue
	desk    *admission.Desk
	shop    *shop
	tokens  *auth.Verifier
	checkup *checkup.Checkup
}

// open connects to ledger, gate and journal, looks whether schema and topic are there, and adds everything that runs or
// has to be closed to the group.
func open(ctx context.Context, g *lifecycle.Group, cfg config.Config, opts Options) (*stages, error) {
	var err error
	s := &stages{cfg: cfg, opts: opts, owner: owner()}
	s.tokens, err = auth.New(auth.Options{
		Secret: []byte(cfg.Auth.HS256Secret.Reveal()), JWKSURL: cfg.Auth.JWKSURL, Now: opts.Now,
	})
	if err != nil {
		return nil, err
	}
	s.book, err = ledger.Open(ctx, ledger.Config{
		DSN: cfg.Database.DSN.Reveal(), MaxConns: cfg.Database.MaxConns, Log: opts.Log, Registerer: opts.Registry,
	})
	if err != nil {
		return nil, err
	}
	g.OnStop("database", func(context.Context) error { return s.book.Close() })
	if err = s.book.CheckSchema(ctx); err != nil {
		return nil, err
	}
	s.refs = ledger.NewRefs(s.book, 0)

	r := cfg.Redis
	s.gate, err = redisgate.Open(ctx, redisgate.Config{
		Mode: r.Mode, Addrs: r.Addrs, DB: r.DB, MasterName: r.MasterName, Username: r.Username, Password: r.Password.Reveal(),
	}, opts.Log)
	if err != nil {
		return nil, err
	}
	g.OnStop("redis", func(context.Context) error { return s.gate.Close() })

	k := kafkajournal.Config{
		Brokers: cfg.Kafka.Brokers, Topic: cfg.Kafka.Topic, Group: cfg.Kafka.Group, Partitions: cfg.Kafka.Partitions,
		ClientID: "firstcome-api", Timeout: cfg.Kafka.Timeout,
		Seen: func(ctx context.Context) (map[int32]int64, error) { return s.book.Seen(ctx, cfg.Kafka.Topic) },
	}
	if s.reader, err = kafkajournal.NewReader(k, opts.Log); err != nil {
		return nil, err
	}
	g.OnStop("journal reader", func(context.Context) error { return s.reader.Close() })
	if err = s.reader.CheckTopic(ctx); err != nil {
		return nil, err
	}
	if s.journal, err = kafkajournal.Open(k, opts.Log, opts.Registry); err != nil {
		return nil, err
	}
	g.OnStop("journal", s.journal.Close)
	s.checkup = checkup.New(checkup.Deps{
		Config: checkup.ConfigOf(config.API, cfg), Redis: s.gate.Facts, Kafka: s.reader.Facts, Database: s.book.Facts,
		Allow: cfg.Checks.Allow, Log: opts.Log, Registerer: opts.Registry,
	})
	if err = s.checkup.Start(ctx); err != nil {
		return nil, err
	}
	s.build(g)
	return s, nil
}

// build makes what stands on the connections.
func (s *stages) build(g *lifecycle.Group) {
	s.queue = reconcile.NewQueue(reconcile.QueueDeps{
		Rebuilder: reconcile.NewRebuilder(reconcile.Deps{
			Book: s.book, Gates: s.gate, Journal: s.reader, M: s.cfg.Admission.MemoryTTL, Owner: s.owner, Log: s.opts.Log,
			Registerer: s.opts.Registry, ReplicaMaxLag: s.cfg.Redis.ReplicaMaxLag, Lease: s.cfg.Rebuild.Lease,
		}),
		Gates: s.gate, Live: s.refs, Leases: s.book, Log: s.opts.Log, Registerer: s.opts.Registry,
	})
	g.Go("rebuild queue", s.queue.Run)

	memory := admission.NewMemory(admission.MemoryDeps{
		Gate: s.gate, TTL: s.cfg.Admission.MemoryTTL, Bytes: int64(s.cfg.Admission.MemoryBytes), Log: s.opts.Log, Registerer: s.opts.Registry,
	})
	g.Go("memory", memory.Run)
	s.desk = admission.NewDesk(admission.DeskDeps{
		Gate: s.gate, Journal: s.journal, Refs: s.refs, OnUnsound: s.queue.Unsound, Log: s.opts.Log, Registerer: s.opts.Registry,
		AnswerTimeout: s.cfg.Admission.AnswerTimeout, Queue: s.cfg.Admission.Queue, Batch: s.cfg.Admission.Batch,
		Lane: s.gate.Server, Memory: memory, Sender: s.journal,
	})
	g.OnStop("desk", s.desk.Close)

	s.shop = newShop(s.book, publish.New(publish.Deps{
		Book: s.book, Gate: s.gate, Refs: s.refs, M: s.cfg.Admission.MemoryTTL, OnUnsound: s.queue.Unsound, Log: s.opts.Log,
	}))
	g.OnStop("shop", s.shop.close)

	sweeper := admission.NewSweeper(admission.SweeperDeps{
		Gate: s.gate, Journal: s.journal, Coupons: s.refs, OnUnsound: s.queue.Noticed, Log: s.opts.Log, Registerer: s.opts.Registry,
		Owner: s.owner, Every: s.cfg.Sweeper.Every, Age: s.cfg.Sweeper.Age, Batch: s.cfg.Sweeper.Batch,
	})
	g.Go("sweeper", sweeper.Run)
	counter := backlog.New(backlog.Deps{
		Gates: s.gate, Live: s.refs, Ledger: s.book, Owner: s.owner, Log: s.opts.Log, Registerer: s.opts.Registry,
	})
	g.Go("backlog", counter.Run)
	g.Go("checkup", s.checkup.Run)
}

// handler is the contract over HTTP on these stages.
func (s *stages) handler() (http.Handler, error) {
	return httpapi.New(httpapi.Deps{
		Claims: s.desk, Gate: s.gate, Refs: s.refs, Coupons: s.book, Issues: issues{s.book}, Publisher: s.shop, Failed: s.book,
		Tokens: s.tokens, NthOf: nthOf, OnUnsound: s.queue.Unsound, Document: document, UserRate: s.cfg.HTTP.UserRate,
		Deadline: deadline(s.cfg.HTTP), Now: s.opts.Now, Log: s.opts.Log, Registerer: s.opts.Registry,
	})
}

// deadline is how long a request may work, so that its answer is written before the connection is cut.
func deadline(c config.HTTP) time.Duration { return c.WriteTimeout - c.WriteTimeout/10 }

// checks tell whether claims can be taken. Without the database they can: known coupons need nothing of it.
func (s *stages) checks(opts Options, f *front) {
	opts.Checks("process", func(context.Context) error { return nil }, true)
	opts.Checks("http", f.taking, false)
	opts.Checks("redis", s.gate.Ping, false)
	opts.Checks("kafka", s.journal.Ping, false)
	opts.Checks("tokens", s.tokens.Ready, false)
	opts.Checks("rebuild", func(context.Context) error {
		if err := s.queue.Rebuilding(); err != nil {
			return &ops.DegradedError{Err: err}
		}
		return nil
	}, false)
	opts.Checks("assumptions", s.checkup.Ready, false)
	opts.Checks("database", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, databasePing)
		defer cancel()
		if err := s.book.Check(ctx); err != nil {
			return &ops.DegradedError{Err: fmt.Errorf(
				"claims on known coupons go on; publishing, changes, lists and new rows wait: %w", err)}
		}
		return nil
	}, false)
}

// databasePing is below the time that a check has, so that a database that hangs is named and does not fail the check.
const databasePing = time.Second

// issues is the book as the handlers ask it.
type issues struct{ *ledger.Book }

// IssuesOf translates the key.
func (i issues) IssuesOf(ctx context.Context, userID string, after httpapi.IssueKey, limit int) ([]coupon.Issue, error) {
	return i.Book.IssuesOf(ctx, userID, ledger.IssueKey(after), limit)
}

// nthOf is 0 for a record that cannot be read.
func nthOf(payload []byte) int {
	place, err := journal.Decode(payload)
	if err != nil {
		return 0
	}
	return place.Nth
}

// owner names this process to others.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("api-%.40s-%d-%.6s", host, os.Getpid(), rand.Text())
}
