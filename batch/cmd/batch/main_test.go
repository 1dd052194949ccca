package main

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/firstcome/firstcome/batch/internal/cli"
)

// lines is a log that a connection may still write to.
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

// What go-redis says by itself went raw to standard error, between the lines of the log.
func TestWhatTheRedisClientSaysIsPartOfTheLog(t *testing.T) {
	t.Setenv("FIRSTCOME_LOG_LEVEL", "debug")
	t.Setenv("FIRSTCOME_DATABASE_DSN", "root:password@tcp(127.0.0.1:1)/firstcome")
	t.Setenv("FIRSTCOME_REDIS_ADDRS", "127.0.0.1:1")
	t.Setenv("FIRSTCOME_KAFKA_BROKERS", "127.0.0.1:1")
	var out, errOut lines
	assert.Equal(t, cli.ExitBlind, run([]string{"doctor"}, &out, &errOut))
	assert.Contains(t, errOut.String(), `"msg":"redis client","role":"batch","says":"`)
}
