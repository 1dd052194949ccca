package ops

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/firstcome/firstcome/core/support/lifecycle"
)

// Options are what a Server shows.
type Options struct {
	Role     string
	Gatherer prometheus.Gatherer
	Log      *slog.Logger
	Profile  string // "on": /debug/pprof/ too
}

// Server answers /livez, /readyz and /metrics.
type Server struct {
	*Checks
	opts    Options
	version string
}

// Timeouts of the ops listener: its requests are small, and its answers wait for checks (2 s) or for the metrics of a
// busy process.
const (
	readTimeout     = 5 * time.Second
	writeTimeout    = 15 * time.Second
	idleTimeout     = time.Minute
	shutdownTimeout = 3 * time.Second
	maxHeader       = 16 << 10
	maxProfile      = 2 * time.Minute
	maxScrapes      = 4 // at the same time; more are answered 503
)

// New makes a server with no checks yet.
func New(opts Options) *Server {
	checks := &Checks{}
	health := prometheus.NewRegistry()
	health.MustRegister(newHealthMetrics(checks))
	opts.Gatherer = prometheus.Gatherers{opts.Gatherer, health}
	return &Server{Checks: checks, opts: opts, version: Version()}
}

// Handler serves the three paths, and those of the profiler if it is on.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) { s.health(w, r, true) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { s.health(w, r, false) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{
		ErrorLog:            logAdapter{s.opts.Log},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             writeTimeout - time.Second,
	}))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "there is nothing here; look at /livez, /readyz or /metrics", http.StatusNotFound)
	})
	if s.opts.Profile == "on" {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	}
	return mux
}

// profile is pprof's, which takes longer than an answer of this listener may.
func profile(w http.ResponseWriter, r *http.Request) {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxProfile)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// pprof refuses to begin what the server would cut, and looks at the server's own timeout for that.
	ctx := context.WithValue(r.Context(), http.ServerContextKey, &http.Server{WriteTimeout: maxProfile}) //nolint:gosec // never serves
	pprof.Profile(w, r.WithContext(ctx))
}

type healthBody struct {
	Status  string   `json:"status"` // "ok" or "failing"
	Role    string   `json:"role"`
	Version string   `json:"version"`
	Checks  []Result `json:"checks"`
}

func (s *Server) health(w http.ResponseWriter, r *http.Request, livenessOnly bool) {
	results, ok := s.Run(r.Context(), livenessOnly)
	body := healthBody{Status: "ok", Role: s.opts.Role, Version: s.version, Checks: results}
	status := http.StatusOK
	if !ok {
		body.Status, status = "failing", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.opts.Log.Debug("a health answer was not read to its end", "error", err)
	}
}

// Listen opens the listener of ops.addr; see lifecycle.Listen for the errors.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	return lifecycle.Listen(ctx, "ops.addr", addr)
}

// Serve answers on the listener until ctx ends, and closes it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := srv.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	if errServe := <-served; !errors.Is(errServe, http.ErrServerClosed) {
		err = errors.Join(err, errServe)
	}
	return err
}

type logAdapter struct{ log *slog.Logger }

// Println is what promhttp calls for a metric that cannot be gathered.
func (l logAdapter) Println(v ...any) { l.log.Error("metrics", "error", v) }
