package redisgate_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/support/logging/logtest"
)

// Not in parallel: go-redis has one logger for the process.
func TestWhatTheClientSaysGoesToTheLogAtDebug(t *testing.T) {
	t.Cleanup(func() { redisgate.LogTo(slog.New(slog.DiscardHandler)) })
	for level, want := range map[slog.Level]string{slog.LevelDebug: "connection refused", slog.LevelInfo: ""} {
		out := &logtest.Buffer{}
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
