package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
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
	route := routeOf(c)
	e.metrics.answered(route, x.Status(), x.code, took)
	ctx := c.Request.Context()
	if !e.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	e.log.LogAttrs(ctx, slog.LevelDebug, "answered",
		slog.String("method", c.Request.Method), slog.String("route", route), slog.String("path", named(c.Request.URL.Path)),
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
	reg.MustRegister(m.answers, m.seconds, m.inFlight)
	return m
}

func (m *metrics) answered(route string, status int, code coupon.Code, took time.Duration) {
	if code == "" {
		code = "ok"
	}
	m.answers.WithLabelValues(route, strconv.Itoa(status), string(code)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// sometimes is how often warnings of one kind are logged.
func sometimes() *rate.Sometimes { return &rate.Sometimes{First: 1, Interval: warnEvery} }
