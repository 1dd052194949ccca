package standalone_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/logging"
	"github.com/firstcome/firstcome/core/support/logging/logtest"
	"github.com/firstcome/firstcome/standalone"
)

// settings of a stack on the folder, on free ports.
func settings(t *testing.T, dataDir string, env ...string) config.Config {
	t.Helper()
	cfg, err := config.Load(config.Standalone, config.LoadOptions{Env: append([]string{
		"FIRSTCOME_STANDALONE_DATA_DIR=" + dataDir,
		"FIRSTCOME_HTTP_ADDR=127.0.0.1:0", "FIRSTCOME_OPS_ADDR=127.0.0.1:0",
		"FIRSTCOME_KAFKA_PARTITIONS=3", "FIRSTCOME_ADMISSION_MEMORY_TTL=100ms",
	}, env...)})
	require.NoError(t, err)
	return cfg
}

// stack is a standalone in this process.
type stack struct {
	standalone.Running
	client *http.Client
	stop   func()
	log    *logtest.Buffer
}

// start starts a stack and waits until it is ready; it is stopped at the test's end, or before by stop.
func start(t *testing.T, cfg config.Config) *stack {
	t.Helper()
	s := &stack{log: &logtest.Buffer{}}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan standalone.Running, 1), make(chan error, 1)
	go func() {
		done <- standalone.Run(ctx, cfg, standalone.Options{
			Log: logging.New(s.log, cfg.Log, config.Standalone), Ready: func(r standalone.Running) { ready <- r },
		})
	}()
	s.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	s.stop = sync.OnceFunc(func() {
		s.client.CloseIdleConnections()
		cancel()
		require.NoError(t, <-done)
	})
	select {
	case s.Running = <-ready:
	case err := <-done:
		cancel()
		t.Fatalf("the stack did not start: %v\n%s", err, s.log)
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("the stack said:\n%s", s.log)
		}
	})
	require.Eventually(t, func() bool { return s.get(t, s.Ops+"/readyz") == http.StatusOK }, 30*time.Second, 10*time.Millisecond)
	return s
}

func (s *stack) get(t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0
	}
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// send asks as a user of that role and reads the JSON answer.
func (s *stack) send(t *testing.T, user, role, method, path string, body any) (status int, answer map[string]any) {
	t.Helper()
	token, err := standalone.Token(s.Secret, user, role, time.Now(), time.Hour)
	require.NoError(t, err)
	text, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, s.API+path, bytes.NewReader(text))
	require.NoError(t, err)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Body = nil
		req.ContentLength = 0
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := s.client.Do(req)
	require.NoError(t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&answer), "%s", raw)
	return resp.StatusCode, answer
}

// admin sends as an admin what must be answered with that status.
func (s *stack) admin(t *testing.T, want int, method, path string, body any) map[string]any {
	t.Helper()
	status, answer := s.send(t, "root", "admin", method, path, body)
	require.Equal(t, want, status, "%v", answer)
	return answer
}

// claim asks until there is another answer than "repeat", as after a restart, while the gates are rebuilt.
func (s *stack) claim(t *testing.T, user, couponID string) (status int, answer map[string]any) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, answer = s.send(t, user, "", http.MethodPost, "/v1/coupons/"+couponID+"/issues", nil)
		return status != http.StatusServiceUnavailable
	}, 30*time.Second, 20*time.Millisecond)
	return status, answer
}

var discard = slog.New(slog.DiscardHandler)
