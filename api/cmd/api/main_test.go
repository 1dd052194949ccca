package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/support/logging/logtest"
)

func TestAWrongCommandLineIsAnsweredInOneLine(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"--nothing": "api: flag provided but not defined: -nothing; see api --help\n",
		"nothing":   "api: unknown argument \"nothing\"; see api --help\n",
	} {
		var out, errOut strings.Builder
		assert.Equal(t, 2, run([]string{arg}, &out, &errOut))
		assert.Equal(t, want, errOut.String())
		assert.Empty(t, out.String())
	}
	var out, errOut strings.Builder
	assert.Zero(t, run([]string{"--help"}, &out, &errOut))
	assert.Contains(t, out.String(), "  -config ")
	assert.Contains(t, out.String(), "kafka.brokers")
	assert.Empty(t, errOut.String())
}

// What go-redis says by itself went raw to standard error, between the lines of the log.
func TestWhatTheRedisClientSaysIsPartOfTheLog(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	book, err := ledger.Open(t.Context(), ledger.Config{DSN: dsn})
	require.NoError(t, err)
	require.NoError(t, book.Migrate(t.Context()))
	require.NoError(t, book.Close())
	for name, value := range map[string]string{
		"LOG_LEVEL": "debug", "DATABASE_DSN": dsn, "REDIS_ADDRS": "127.0.0.1:1", "OPS_ADDR": "127.0.0.1:0",
		"HTTP_ADDR": "127.0.0.1:0", "AUTH_HS256_SECRET": "0123456789abcdef0123456789abcdef",
	} {
		t.Setenv("FIRSTCOME_"+name, value)
	}
	var out, errOut logtest.Buffer
	assert.Equal(t, 1, run(nil, &out, &errOut))
	assert.Contains(t, errOut.String(), "is it running? (redis.addrs)")
	assert.Contains(t, errOut.String(), `"msg":"redis client","role":"api","says":"`)
}
