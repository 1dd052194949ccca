package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/firstcome/firstcome/api"
	"github.com/firstcome/firstcome/batch"
	"github.com/firstcome/firstcome/core/admission/redisgate/embedded"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/lifecycle"
	"github.com/firstcome/firstcome/core/support/ops"
)

// Options of a stack.
type Options struct {
	Log *slog.Logger
	// Ready is called once, when the api listens and schema and topic are there; nil: nobody waits.
	Ready func(Running)
}

// Running says where everything of a running stack is.
type Running struct {
	API, Ops string // base URLs
	Brokers  []string
	Topic    string
	Redis    string // host:port
	Ledger   string // path of the SQLite file
	DataDir  string
	Secret   config.Secret
}

// Run starts the embedded servers on cfg's data folder, makes schema and topic, runs the three roles and serves until
// ctx ends. The folder must not be in use.
func Run(ctx context.Context, cfg config.Config, o Options) error {
	f, err := openFolder(cfg.Standalone.DataDir)
	if err != nil {
		return err
	}
	g := lifecycle.NewGroup(o.Log, api.StopWithin(cfg)+2*lifecycle.DefaultStop) // api, consumer and batch, one after the other
	g.OnStop("data folder", func(context.Context) error { return f.release() })
	if err := prepare(ctx, g, f, cfg, o); err != nil {
		return errors.Join(err, g.Abandon(ctx))
	}
	return g.Run(ctx)
}

// prepare adds servers and roles to the group, in the order in which they need each other.
func prepare(ctx context.Context, g *lifecycle.Group, f *folder, cfg config.Config, o Options) error {
	if cfg.Auth.JWKSURL == "" {
		secret, err := f.ownSecret(cfg)
		if err != nil {
			return err
		}
		cfg.Auth.HS256Secret = secret
	}
	// Before anything slow, so that a port that is taken is said at once.
	listener, err := ops.Listen(ctx, cfg.Ops.Addr)
	if err != nil {
		return err
	}
	g.OnStop("ops listener", func(context.Context) error {
		listener.Close() //nolint:errcheck,gosec // closed already, unless the start failed
		return nil
	})
	kafka, err := startKafka(f, o.Log)
	if err != nil {
		return err
	}
	g.OnStop("embedded Kafka", func(context.Context) error { kafka.Close(); return nil })
	redis, err := embedded.Start("127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("start the embedded Redis: %w", err)
	}
	g.OnStop("embedded Redis", func(context.Context) error { redis.Close(); return nil })

	cfg = embed(cfg, f, kafka.ListenAddrs(), redis.Addr(), o.Log)
	if _, err := batch.Migrate(ctx, cfg, batch.Options{Log: o.Log}); err != nil {
		return err
	}
	if err := writeAddresses(f, cfg); err != nil {
		return err
	}
	addRoles(g, cfg, o, roles{listener: listener, running: Running{
		Ops:     "http://" + listener.Addr().String(),
		Brokers: cfg.Kafka.Brokers, Topic: cfg.Kafka.Topic,
		Redis: redis.Addr(), Ledger: f.file(ledgerFile), DataDir: f.path, Secret: cfg.Auth.HS256Secret,
	}})
	return nil
}
