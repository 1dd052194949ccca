package servers

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// NewRedis is a Redis as scripts/lib/redis.sh starts one (append-only file, synced each second; never evicts), with DEBUG
// allowed. args are further options of redis-server; a later one wins.
func NewRedis(dir string, args ...string) (*Server, error) {
	program, err := look("redis-server")
	if err != nil {
		return nil, err
	}
	s, err := newServer("redis", dir)
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(s.addr, ":")
	all := append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--daemonize", "no", "--save", "", "--appendonly", "yes",
		"--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--enable-debug-command", "local",
	}, args...)
	if slices.Contains(args, "--cluster-enabled") {
		bus, err := freeAddr()
		if err != nil {
			return nil, err
		}
		_, s.bus, _ = strings.Cut(bus, ":")
		all = append(all, "--cluster-port", s.bus)
	}
	s.command = func() (*exec.Cmd, error) { return exec.Command(program, all...), nil } //nolint:gosec,noctx // ended by Kill
	s.ready = func(ctx context.Context) error {
		client := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
		return errors.Join(client.Ping(ctx).Err(), client.Close())
	}
	return s, nil
}

// NewRedisSentinel is a sentinel that watches what its configuration file says, which it rewrites.
func NewRedisSentinel(dir, conf string) (*Server, error) {
	program, err := look("redis-server")
	if err != nil {
		return nil, err
	}
	s, err := newServer("sentinel", dir)
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(s.addr, ":")
	s.command = func() (*exec.Cmd, error) {
		return exec.Command(program, conf, "--sentinel", "--port", port, "--bind", "127.0.0.1", "--dir", s.dir), nil //nolint:gosec,noctx // ended by Kill
	}
	s.ready = func(ctx context.Context) error {
		client := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
		return errors.Join(client.Ping(ctx).Err(), client.Close())
	}
	return s, nil
}
