package redisgate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/core/support/doctor"
)

// Inspect is Facts of a server that no gate may be able to use. Its errors are those of Open.
func Inspect(ctx context.Context, cfg Config) (facts *doctor.Redis, err error) {
	client, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	g := New(client)
	defer func() { err = errors.Join(err, g.Close()) }()
	if facts, err = g.Facts(ctx); err != nil {
		return nil, explain(cfg, err)
	}
	return facts, nil
}

// Facts tells how the servers that take writes are set up. It changes nothing. What a server does not tell (an embedded
// one knows little of INFO, a managed one refuses CONFIG) is left out; the error is about one that cannot be reached.
func (g *Gate) Facts(ctx context.Context) (*doctor.Redis, error) {
	switch client := g.client.(type) {
	case *redis.ClusterClient:
		return clusterFacts(ctx, client)
	case *redis.Client:
		mode := ModeSingle
		if client.Options().Addr == sentinelAddr {
			mode = ModeSentinel
		}
		node, err := nodeFacts(ctx, client)
		if err != nil {
			return nil, err
		}
		return &doctor.Redis{Mode: mode, Nodes: []doctor.RedisNode{node}}, nil
	default:
		return nil, fmt.Errorf("redis: a client of the type %T cannot be looked at", client)
	}
}

// sentinelAddr is what go-redis names a client that finds its server by sentinels.
const sentinelAddr = "FailoverClient"

func clusterFacts(ctx context.Context, client *redis.ClusterClient) (*doctor.Redis, error) {
	facts := &doctor.Redis{Mode: ModeCluster}
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("redis: CLUSTER INFO: %w", err)
	}
	facts.ClusterState = settings(info)["cluster_state"]
	var mu sync.Mutex
	err = client.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		node, nodeErr := nodeFacts(ctx, master)
		if nodeErr != nil {
			return nodeErr
		}
		mu.Lock()
		defer mu.Unlock()
		facts.Nodes = append(facts.Nodes, node)
		return nil
	})
	return facts, err
}

func nodeFacts(ctx context.Context, client *redis.Client) (doctor.RedisNode, error) {
	node := doctor.RedisNode{Addr: client.Options().Addr, Info: doctor.Settings{}}
	if err := client.Ping(ctx).Err(); err != nil && !redis.HasErrorPrefix(err, "NOPERM") {
		return node, fmt.Errorf("redis at %s: %w", node.Addr, err)
	}
	for _, section := range []string{"server", "memory", "persistence", "replication"} {
		text, err := client.Info(ctx, section).Result()
		switch {
		case err == nil:
			for name, value := range settings(text) {
				node.Info[name] = value
			}
		case !isReply(err):
			return node, fmt.Errorf("redis at %s: INFO %s: %w", node.Addr, section, err)
		}
	}
	for _, name := range []string{
		"maxmemory-policy", "appendfsync", "save", "stop-writes-on-bgsave-error", "min-replicas-to-write", "min-replicas-max-lag",
	} {
		found, err := client.ConfigGet(ctx, name).Result()
		if value, there := found[name]; err == nil && there {
			if node.Config == nil {
				node.Config = doctor.Settings{}
			}
			node.Config[name] = value
		}
	}
	var err error
	if node.Denied, err = denied(ctx, client); err != nil {
		return node, fmt.Errorf("redis at %s: %w", node.Addr, err)
	}
	node.Clock, err = doctor.Measure(time.Now, func() (time.Time, error) { return client.Time(ctx).Result() })
	if err != nil && !isReply(err) {
		return node, fmt.Errorf("redis at %s: TIME: %w", node.Addr, err)
	}
	return node, nil
}

// denied are the commands of the scripts that the user may not give. Each is given in a form that does nothing: on a key
// that is not there, under a condition that is not met, or without its last argument. Rights are looked at before any of that.
// HSETNX has no such form; who may HSET may HSETNX, unless somebody took it away by name.
func denied(ctx context.Context, client *redis.Client) ([]string, error) {
	const key, other = "fc:{doctor}:none", "fc:{doctor}:none2"
	pipe := client.Pipeline()
	for _, args := range [][]any{
		{"exists", key},
		{"get", key},
		{"hget", key, "f"},
		{"hmget", key, "f"},
		{"hlen", key},
		{"hset", key, "f", "v", "g"},
		{"hdel", key, "f"},
		{"zadd", key, "xx", "1", "m"},
		{"zcard", key},
		{"zscore", key, "m"},
		{"zrem", key, "m"},
		{"zrangebyscore", key, "0", "1"},
		{"set", key, "v", "xx", "px", "1"},
		{"persist", key},
		{"pexpire", key, "1"},
		{"rename", key, other},
		{"unlink", key},
		{"ping"},
		{"time"},
		{"info", "server"},
		{"eval", "return 1", "0"},
		{"evalsha", strings.Repeat("0", 40), "0"},
	} {
		pipe.Do(ctx, args...)
	}
	commands, err := pipe.Exec(ctx)
	if err != nil && !isReply(err) && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	var refused []string
	for _, c := range commands {
		if redis.HasErrorPrefix(c.Err(), "NOPERM") {
			refused = append(refused, strings.ToUpper(c.Name()))
		}
	}
	return refused, nil
}

// isReply says whether the server answered with an error of its own, as opposed to not at all.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// settings reads lines of name:value.
func settings(text string) doctor.Settings {
	found := doctor.Settings{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && !strings.HasPrefix(name, "#") {
			found[name] = value
		}
	}
	return found
}
