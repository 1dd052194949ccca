package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/firstcome/firstcome/core/coupon"
)

// edge is the outermost part of every request: it names it, bounds what a browser may do with the answer, turns a panic
// into an answer, and counts.
type edge struct {
	answers *answers
	log     *slog.Logger
	pool    *exchangePool
	metrics *metrics
	// Header values as they stand in the header map; see answers.
	noSniff, noStore []string
}

func newEdge(a *answers, deps Deps) *edge {
	return &edge{
		answers: a, log: deps.Log, pool: newExchangePool(), metrics: newMetrics(deps.Registerer),
		noSniff: []string{"nosniff"}, noStore: []string{"no-store"},
	}
}

func (e *edge) middleware(c *gin.Context) {
	start := time.Now()
	e.metrics.inFlight.Inc()
	x := e.pool.get(c.Writer, requestID(c.Request.Header.Get("X-Request-Id")))
	inner := c.Writer
	c.Writer = x
	header := x.Header()
	header["X-Content-Type-Options"] = e.noSniff
	header["Cache-Control"] = e.noStore
	header["X-Request-Id"] = []string{x.requestID}
	defer func() { // also when recovered panics in its turn
		e.metrics.inFlight.Dec()
		e.done(c, x, time.Since(start))
		c.Writer = inner
		e.pool.put(x)
	}()
	defer e.recovered(c)
	c.Next()
}

// recovered answers a handler's panic, or cuts the connection when an answer has begun. What was asked of the stages is
// not undone; the requester may repeat.
func (e *edge) recovered(c *gin.Context) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p) // the way of net/http to cut a connection
	}
	x := exchangeOf(c)
	e.log.Error("a handler panicked", "route", routeOf(c), "request_id", x.requestID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if x.Written() {
		panic(http.ErrAbortHandler)
	}
	e.answers.problem(c, problem{code: codeInternal})
}

func (e *edge) done(c *gin.Context, x *exchange, took time.Duration) {
	e.metrics.of(c, x).answered(took)
	ctx := c.Request.Context()
	if !e.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	e.log.LogAttrs(ctx, slog.LevelDebug, "answered",
		slog.String("method", c.Request.Method), slog.String("route", routeOf(c)), slog.String("path", named(c.Request.URL.Path)),
		slog.Int("status", x.Status()), slog.String("code", string(x.code)), slog.Duration("took", took),
		slog.String("user", x.user.ID), slog.String("request_id", x.requestID))
}

// routeOf is the route of the document, such as "GET /v1/coupons/:id"; "none" for a path or method that is not there,
// so that nobody can make labels.
func routeOf(c *gin.Context) string {
	if c.FullPath() == "" {
		return "none"
	}
	return c.Request.Method + " " + c.FullPath()
}

// warnEvery bounds how often unknown outcomes are logged: with a store down, every request has one.
const warnEvery = time.Second

// failed is problemOf, and says for operators why an outcome is unknown.
func (s *server) failed(c *gin.Context, err error) problem {
	p := problemOf(err)
	if p.code == coupon.CodeUnavailable && !errors.Is(err, context.Canceled) {
		s.unknown.Do(func() {
			s.Log.Warn("an outcome is not known; further ones within a second are not logged",
				"route", routeOf(c), "request_id", exchangeOf(c).requestID, "error", err)
		})
	}
	return p
}

// metrics of the listener. Labels are bounded: routes are those of the document, codes those of the table.
type metrics struct {
	answers  *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge

	known atomic.Pointer[map[kindOfAnswer]series] // copied when one is added; there are few
	adds  sync.Mutex
}

// kindOfAnswer is what answers have in common that are counted together. path is the route's, so that nobody can make more.
type kindOfAnswer struct {
	method, path string
	status       int
	code         coupon.Code
}

// series are the metrics of one kind of answer: finding them by their labels for each request takes a tenth of the handlers' time.
type series struct {
	answers prometheus.Counter
	seconds prometheus.Observer
}

func (s series) answered(took time.Duration) {
	s.answers.Inc()
	s.seconds.Observe(took.Seconds())
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firstcome_api_answers_total",
			Help: "Answers by route, HTTP status and code; the code of a success is ok.",
		}, []string{"route", "status", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "firstcome_api_request_seconds",
			Help:    "Seconds from the headers of a request to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), // 0.5 ms to 4 s: above every answer timeout in use
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firstcome_api_requests_in_flight",
			Help: "Requests that are being answered.",
		}),
	}
	m.known.Store(&map[kindOfAnswer]series{})
	reg.MustRegister(m.answers, m.seconds, m.inFlight)
	return m
}

// of are the series of a request that was answered.
func (m *metrics) of(c *gin.Context, x *exchange) series {
	kind := kindOfAnswer{path: c.FullPath(), status: x.Status(), code: cmp.Or(x.code, "ok")}
	if kind.path != "" {
		kind.method = c.Request.Method
	}
	if found, ok := (*m.known.Load())[kind]; ok {
		return found
	}
	m.adds.Lock()
	defer m.adds.Unlock()
	route := routeOf(c)
	added := series{
		answers: m.answers.WithLabelValues(route, strconv.Itoa(kind.status), string(kind.code)),
		seconds: m.seconds.WithLabelValues(route),
	}
	known := maps.Clone(*m.known.Load())
	known[kind] = added
	m.known.Store(&known)
	return added
}

// sometimes is how often warnings of one kind are logged.
func sometimes() *rate.Sometimes { return &rate.Sometimes{First: 1, Interval: warnEvery} }
