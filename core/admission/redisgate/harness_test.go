package redisgate_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission/gatetest"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/admission/redisgate/embedded"
)

// The servers that the suite runs on when they are named.
const (
	envSingle  = "FIRSTCOME_TEST_REDIS_ADDR"          // host:port
	envCluster = "FIRSTCOME_TEST_REDIS_CLUSTER_ADDRS" // host:port, comma-separated
)

func TestGateOnEmbeddedRedis(t *testing.T) {
	t.Parallel()
	gatetest.Run(t, func(t *testing.T) gatetest.Harness { return onEmbedded(t).Harness })
}

func TestGateOnRealRedis(t *testing.T) {
	t.Parallel()
	cfg := realConfig(t)
	gatetest.Run(t, func(t *testing.T) gatetest.Harness { return onReal(t, cfg) })
}

func TestGateOnRealCluster(t *testing.T) {
	t.Parallel()
	cfg := clusterConfig(t)
	gatetest.Run(t, func(t *testing.T) gatetest.Harness { return onReal(t, cfg) })
}

func realConfig(t *testing.T) redisgate.Config {
	t.Helper()
	addr := os.Getenv(envSingle)
	if addr == "" {
		t.Skipf("no real Redis to run on: set %s to host:port", envSingle)
	}
	return redisgate.Config{Mode: redisgate.ModeSingle, Addrs: []string{addr}}
}

func clusterConfig(t *testing.T) redisgate.Config {
	t.Helper()
	addrs := os.Getenv(envCluster)
	if addrs == "" {
		t.Skipf("no real Redis Cluster to run on: set %s to host:port,host:port,…", envCluster)
	}
	return redisgate.Config{Mode: redisgate.ModeCluster, Addrs: strings.Split(addrs, ",")}
}

// embeddedHarness is a gate on an embedded server of its own, whose clock stands.
type embeddedHarness struct {
	gatetest.Harness
	server *embedded.Server
	client redis.UniversalClient // beside the gate's, to look and to break
}

func onEmbedded(t *testing.T) embeddedHarness {
	t.Helper()
	server, err := embedded.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(server.Close)
	var mu sync.Mutex
	clock := time.Date(2026, 11, 20, 12, 0, 0, 1000, time.UTC)
	server.SetTime(clock)
	h := harness(t, redisgate.Config{Mode: redisgate.ModeSingle, Addrs: []string{server.Addr()}})
	h.Now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return clock
	}
	h.SetTime = func(to time.Time) {
		mu.Lock()
		defer mu.Unlock()
		clock = to
		server.SetTime(to)
	}
	h.Restart = func(string) { server.NewRun() }
	h.Failover = func(string) { server.NewReign() }
	return embeddedHarness{Harness: h.Harness, server: server, client: h.client}
}

// onReal is a gate on a server that others use, too: nothing is flushed but the tags of the test, and what a restart or
// a failover would do is done to the tag's gate instead of the server: the server field is what it would have been on the
// other one. processes_test.go restarts and promotes servers of its own.
func onReal(t *testing.T, cfg redisgate.Config) gatetest.Harness {
	t.Helper()
	h := harness(t, cfg)
	foreign := func(part int) func(string) {
		return func(tag string) {
			gate := "fc:{" + tag + "}:gate"
			server, err := h.client.HGet(t.Context(), gate, "server").Result()
			if errors.Is(err, redis.Nil) {
				return // there is no gate to be foreign
			}
			require.NoError(t, err)
			ids := strings.Split(server, ":")
			require.Len(t, ids, 2)
			ids[part] = strings.Repeat("0", len(ids[part]))
			require.NoError(t, h.client.HSet(t.Context(), gate, "server", strings.Join(ids, ":")).Err())
		}
	}
	h.Restart, h.Failover = foreign(0), foreign(1)
	h.Now = func() time.Time {
		now, err := h.client.Time(context.WithoutCancel(t.Context())).Result()
		require.NoError(t, err)
		return now
	}
	return h.Harness
}

type clientHarness struct {
	gatetest.Harness
	client redis.UniversalClient
}

// harness opens a gate and a client beside it. Key names are spelled out here once more: they are what another version
// of this program finds in Redis.
func harness(t *testing.T, cfg redisgate.Config) clientHarness {
	t.Helper()
	// A second is long for a server, and short for a machine that tests everything at once.
	options := &redis.UniversalOptions{
		Addrs: cfg.Addrs, IsClusterMode: cfg.Mode == redisgate.ModeCluster, ContextTimeoutEnabled: true,
		ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
	}
	gate, client := redisgate.New(redis.NewUniversalClient(options)), redis.NewUniversalClient(options)
	t.Cleanup(func() {
		require.NoError(t, gate.Close())
		require.NoError(t, client.Close())
	})
	key := func(tag, name string) string { return "fc:{" + tag + "}:" + name }
	h := clientHarness{client: client}
	h.Gate = gate
	h.Lose = func(tag, name string) {
		require.NoError(t, client.Del(context.WithoutCancel(t.Context()), key(tag, name)).Err())
	}
	h.Flush = func(tag string) {
		for _, k := range keysOf(t, client, tag) {
			require.NoError(t, client.Del(context.WithoutCancel(t.Context()), k).Err())
		}
	}
	h.LoseOne = func(tag, name string) {
		loseOne(t, client, key(tag, name))
	}
	return h
}

// keysOf finds all keys of a tag by looking at every key of its node.
func keysOf(t *testing.T, client redis.UniversalClient, tag string) []string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	scan := redis.Cmdable(client)
	if cluster, ok := client.(*redis.ClusterClient); ok {
		node, err := cluster.MasterForKey(ctx, "fc:{"+tag+"}:gate")
		require.NoError(t, err)
		scan = node
	}
	var keys []string
	iter := scan.Scan(ctx, 0, "fc:{"+tag+"}:*", 10_000).Iterator()
	for iter.Next(ctx) {
		keys = append(keys, iter.Val())
	}
	require.NoError(t, iter.Err())
	slices.Sort(keys)
	return slices.Compact(keys)
}

func loseOne(t *testing.T, client redis.UniversalClient, key string) {
	t.Helper()
	ctx := t.Context()
	kind, err := client.Type(ctx, key).Result()
	require.NoError(t, err)
	switch kind {
	case "hash":
		fields, err := client.HKeys(ctx, key).Result()
		require.NoError(t, err)
		require.NoError(t, client.HDel(ctx, key, least(fields)).Err())
	case "zset":
		fields, err := client.ZRange(ctx, key, 0, -1).Result()
		require.NoError(t, err)
		require.NoError(t, client.ZRem(ctx, key, least(fields)).Err())
	case "set":
		require.NoError(t, client.SRem(ctx, key, least(client.SMembers(ctx, key).Val())).Err())
	case "none":
	default:
		t.Fatalf("%s is a %s", key, kind)
	}
}

func least(fields []string) string {
	return slices.MinFunc(fields, func(a, b string) int { return bytes.Compare([]byte(a), []byte(b)) })
}
