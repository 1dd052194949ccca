package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/firstcome/firstcome/batch/internal/cli"
	"github.com/firstcome/firstcome/core/support/logging/logtest"
)

// What go-redis says by itself went raw to standard error, between the lines of the log.
func TestWhatTheRedisClientSaysIsPartOfTheLog(t *testing.T) {
	t.Setenv("FIRSTCOME_LOG_LEVEL", "debug")
	t.Setenv("FIRSTCOME_DATABASE_DSN", "root:password@tcp(127.0.0.1:1)/firstcome")
	t.Setenv("FIRSTCOME_REDIS_ADDRS", "127.0.0.1:1")
	t.Setenv("FIRSTCOME_KAFKA_BROKERS", "127.0.0.1:1")
	var out, errOut logtest.Buffer
	assert.Equal(t, cli.ExitBlind, run([]string{"doctor"}, &out, &errOut))
	assert.Contains(t, errOut.String(), `"msg":"redis client","role":"batch","says":"`)
}
