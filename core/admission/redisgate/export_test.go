package redisgate

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// NewClient is the client of Open, unconnected.
func NewClient(t *testing.T, cfg Config) redis.UniversalClient {
	t.Helper()
	client, err := newClient(cfg)
	require.NoError(t, err)
	return client
}

// Sources are the scripts as the server gets them.
func Sources() []string {
	var sources []string
	for _, s := range all(loadScripts(luaSource)) {
		sources = append(sources, s.source)
	}
	return sources
}
