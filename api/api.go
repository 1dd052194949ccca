package api

import (
	"context"
	_ "embed" // for the document
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/lifecycle"
	"github.com/firstcome/firstcome/core/support/ops"
)

//go:embed openapi.yaml
var document []byte

// Options of a run. Log is needed.
type Options struct {
	Log      *slog.Logger
	Registry *prometheus.Registry // nil: one of its own
	Now      func() time.Time     // the host's clock; nil: time.Now
	Ops      bool                 // serve /livez, /readyz and /metrics on ops.addr
	// Checks gets the checks of this role; nil: they are only on its own ops listener.
	Checks func(name string, check func(context.Context) error, liveness bool)
	// Ready is called once, when claims are taken, with the address of the listener; nil: nobody waits.
	Ready func(addr string)
}

func (o Options) withDefaults() Options {
	if o.Registry == nil {
		o.Registry = ops.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Checks == nil {
		o.Checks = func(string, func(context.Context) error, bool) {}
	}
	if o.Ready == nil {
		o.Ready = func(string) {}
	}
	return o
}

// maxHeader bounds the headers of a request in bytes: a token has at most 4 KiB.
const maxHeader = 16 << 10

// Run serves until ctx ends; then it says so on /readyz, goes on for http.drain_delay, takes no more connections, answers
// what it has taken, within http.shutdown_timeout, and stops. An error at the
// start says what to correct: schema or topic missing, port taken, a server that does not answer.
func Run(ctx context.Context, cfg config.Config, opts Options) error {
	opts = opts.withDefaults()
	g := lifecycle.NewGroup(opts.Log, StopWithin(cfg))
	if err := start(ctx, g, cfg, opts); err != nil {
		return errors.Join(err, g.Abandon(ctx))
	}
	return g.Run(ctx)
}

// StopWithin bounds the end of a run from the signal on.
func StopWithin(cfg config.Config) time.Duration {
	return cfg.HTTP.DrainDelay + max(lifecycle.DefaultStop, 2*cfg.HTTP.ShutdownTimeout)
}

// start opens everything and adds it to the group, in the order in which the parts need each other.
func start(ctx context.Context, g *lifecycle.Group, cfg config.Config, opts Options) error {
	if opts.Ops {
		listener, err := ops.Listen(ctx, cfg.Ops.Addr)
		if err != nil {
			return err
		}
		server := ops.New(ops.Options{Role: string(config.API), Gatherer: opts.Registry, Log: opts.Log, Profile: cfg.Ops.Profile})
		g.OnStop("ops listener", closing(listener))
		g.Go("ops", func(ctx context.Context) error { return server.Serve(ctx, listener) })
		opts.Checks = server.Add
	}
	stages, err := open(ctx, g, cfg, opts)
	if err != nil {
		return err
	}
	handler, err := stages.handler()
	if err != nil {
		return err
	}
	listener, err := lifecycle.Listen(ctx, "http.addr", cfg.HTTP.Addr)
	if err != nil {
		return err
	}
	g.OnStop("http listener", closing(listener))
	front := newFront(cfg.HTTP, handler, opts)
	stages.checks(opts, front)
	g.Go("http", func(ctx context.Context) error { return front.serve(ctx, listener) })
	return nil
}

// closing closes a listener that nobody serves, or nobody any more.
func closing(l net.Listener) func(context.Context) error {
	return func(context.Context) error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// front is the public listener.
type front struct {
	log      *slog.Logger
	server   *http.Server
	drain    time.Duration // goes on serving for so long after the end of ctx
	shutdown time.Duration
	ready    func(addr string)
	stopping chan struct{} // closed at the beginning of the stop
}

func newFront(c config.HTTP, handler http.Handler, opts Options) *front {
	return &front{
		log: opts.Log,
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: c.ReadHeaderTimeout,
			ReadTimeout:       c.ReadTimeout,
			WriteTimeout:      c.WriteTimeout,
			IdleTimeout:       c.IdleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug), // what clients do wrong
		},
		drain: c.DrainDelay, shutdown: c.ShutdownTimeout, ready: opts.Ready, stopping: make(chan struct{}),
	}
}

// errStopping is what /readyz says from the beginning of the stop.
var errStopping = errors.New("stopping: what was taken is being answered")

func (f *front) taking(context.Context) error {
	select {
	case <-f.stopping:
		return errStopping
	default:
		return nil
	}
}

// serve answers until ctx ends and the load balancers have had the time to notice, then until everything taken is
// answered.
func (f *front) serve(ctx context.Context, l net.Listener) error {
	entry := newDoor(l)
	f.server.ConnState = entry.state
	f.server.Handler = entry.saying(f.server.Handler)
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(entry) }()
	f.ready(l.Addr().String())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	close(f.stopping)
	drained := time.NewTimer(f.drain)
	defer drained.Stop()
	select {
	case err := <-served:
		return err
	case <-drained.C:
	}
	if err := entry.shut(); err != nil {
		f.log.Debug("connections that are made at this moment may be reset", "error", err)
	}
	if end := <-served; !errors.Is(end, errShut) { // within lastLooks
		f.log.Warn("the listener did not close in order", "error", end)
	}
	lingered := time.NewTimer(min(lingerIdle, f.shutdown))
	defer lingered.Stop()
	select {
	case <-entry.empty():
	case <-lingered.C:
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.shutdown)
	defer cancel()
	err := f.server.Shutdown(stop)
	if err != nil { // requests that outlast the time are cut; their outcome is unknown to the clients, who ask again
		err = errors.Join(err, f.server.Close())
	}
	return err
}
