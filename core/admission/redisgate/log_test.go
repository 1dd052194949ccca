package redisgate_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission/redisgate"
)

// lines is a log that connections of other tests may still write to.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Not in parallel: go-redis has one logger for the process.
func TestWhatTheClientSaysGoesToTheLogAtDebug(t *testing.T) {
	t.Cleanup(func() { redisgate.LogTo(slog.New(slog.DiscardHandler)) })
	for level, want := range map[slog.Level]string{slog.LevelDebug: "connection refused", slog.LevelInfo: ""} {
		out := &lines{}
		log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
		redisgate.LogTo(log)
		_, err := redisgate.Open(t.Context(), redisgate.Config{Addrs: []string{"127.0.0.1:1"}}, log)
		require.ErrorContains(t, err, "is it running?")
		if want == "" {
			assert.Empty(t, out.String())
			continue
		}
		assert.Contains(t, out.String(), "level=DEBUG")
		assert.Contains(t, out.String(), want)
	}
}
