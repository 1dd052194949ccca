package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/core/support/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newServer() *ops.Server {
	return ops.New(ops.Options{Role: "consumer", Gatherer: ops.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
}

func TestTheProfilerAnswersOnlyWhereItIsOn(t *testing.T) {
	t.Parallel()
	for profile, status := range map[string]int{"": http.StatusNotFound, "off": http.StatusNotFound, "on": http.StatusOK} {
		s := ops.New(ops.Options{Role: "api", Gatherer: ops.NewRegistry(), Log: slog.New(slog.DiscardHandler), Profile: profile})
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/symbol", "/debug/pprof/heap"} {
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			assert.Equal(t, status, w.Code, "%q %s", profile, path)
		}
	}
}

func TestWhoeverAsksForAnotherPathIsToldTheThree(t *testing.T) {
	t.Parallel()
	s := newServer()
	for _, path := range []string{"/", "/healthz", "/livez/"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		assert.Equal(t, http.StatusNotFound, w.Code, path)
		assert.Equal(t, "there is nothing here; look at /livez, /readyz or /metrics\n", w.Body.String(), path)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/livez", nil))
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
}

type health struct {
	Status, Role, Version string
	Checks                []ops.Result
}

func ask(t *testing.T, s *ops.Server, path string) (status int, h health) {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &h))
	for i, c := range h.Checks {
		assert.Equal(t, c.OK && !c.Degraded, c.Since == "", "%+v", c)
		h.Checks[i].Since = ""
	}
	return w.Code, h
}

func TestReadyNamesWhatIsMissingAndLiveLooksOnlyAtWhatARestartHeals(t *testing.T) {
	t.Parallel()
	s := newServer()
	status, h := ask(t, s, "/readyz")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "ok", h.Status)
	assert.Equal(t, "consumer", h.Role)
	assert.NotEmpty(t, h.Version)

	s.Add("writer", func(context.Context) error { return nil }, true)
	s.Add("database", func(context.Context) error { return errors.New("waiting since 12:00") }, false)
	status, h = ask(t, s, "/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "failing", h.Status)
	assert.Equal(t, []ops.Result{
		{Name: "database", Reason: "waiting since 12:00"}, {Name: "writer", OK: true},
	}, h.Checks)
	status, h = ask(t, s, "/livez")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, []ops.Result{{Name: "writer", OK: true}}, h.Checks)
}

func TestACheckThatHangsIsANo(t *testing.T) {
	t.Parallel()
	var c ops.Checks
	release := make(chan struct{})
	defer close(release)
	c.Add("hangs", func(context.Context) error { <-release; return nil }, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the probe went away; its own end of 2 s goes the same way
	results, ok := c.Run(ctx, false)
	assert.False(t, ok)
	assert.Equal(t, "no answer within 2s", results[0].Reason)
}

func TestTheListenerServesMetricsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	l, err := ops.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	s := newServer()
	s.Add("well", func(context.Context) error { return nil }, false)
	s.Add("half", func(context.Context) error { return &ops.DegradedError{Err: errors.New("away")} }, false)
	s.Add("broken", func(context.Context) error { return errors.New("away") }, false)
	go func() { served <- s.Serve(ctx, l) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/metrics", nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Contains(t, string(body), `firstcome_build_info{version="`)
	assert.Contains(t, string(body), "go_goroutines")
	assert.Contains(t, string(body), `firstcome_health_state{check="broken"} 2`)
	assert.Contains(t, string(body), `firstcome_health_state{check="half"} 1`)
	assert.Contains(t, string(body), `firstcome_health_state{check="well"} 0`)
	assert.Contains(t, string(body), `firstcome_health_not_well_seconds{check="well"} 0`)
	assert.NotContains(t, string(body), `firstcome_health_not_well_seconds{check="broken"} 0\n`)
	cancel()
	require.NoError(t, <-served)

	_, err = ops.Listen(t.Context(), "127.0.0.1:99999")
	require.ErrorContains(t, err, "FIRSTCOME_OPS_ADDR")
}
