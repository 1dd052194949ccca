package consumer

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/lifecycle"
	"github.com/firstcome/firstcome/core/support/ops"
)

// Options of a run. Log is needed.
type Options struct {
	Log      *slog.Logger
	Registry *prometheus.Registry // nil: one of its own
	Now      func() time.Time     // the host's clock; this role needs none, the rows' times are the database's
	Ops      bool                 // serve /livez, /readyz and /metrics on ops.addr
	// Checks gets the checks of this role; nil: they are only on its own ops listener.
	Checks func(name string, check func(context.Context) error, liveness bool)
	// Ready is called once, when the reading begins, with the address of the ops listener ("" without); nil: nobody
	// waits.
	Ready func(addr string)
}

func (o Options) withDefaults() Options {
	if o.Registry == nil {
		o.Registry = ops.NewRegistry()
	}
	if o.Checks == nil {
		o.Checks = func(string, func(context.Context) error, bool) {}
	}
	if o.Ready == nil {
		o.Ready = func(string) {}
	}
	return o
}

// Run reads and writes until ctx ends, then lets the running writes end and commits what is marked. Servers that are
// away are waited for, also at the start; an error says what to correct.
func Run(ctx context.Context, cfg config.Config, opts Options) error {
	opts = opts.withDefaults()
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
	w := &work{cfg: cfg, opts: opts, addr: addr, start: &lifecycle.Starting{Log: opts.Log}}
	opts.Checks("start", w.start.Check, false)
	g.Go("journal to ledger", w.run)
	return g.Run(ctx)
}

// serveOps adds the ops listener to the group and returns where its checks go.
func serveOps(g *lifecycle.Group, listener net.Listener, cfg config.Ops, opts Options) func(string, func(context.Context) error, bool) {
	server := ops.New(ops.Options{Role: string(config.Consumer), Gatherer: opts.Registry, Log: opts.Log, Profile: cfg.Profile})
	g.OnStop("ops listener", func(context.Context) error {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	g.Go("ops", func(ctx context.Context) error { return server.Serve(ctx, listener) })
	return server.Add
}
