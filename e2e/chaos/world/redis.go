package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/e2e/proxy"
	"github.com/firstcome/firstcome/e2e/servers"
)

// markKey is a key of the harness' own. Its number grows all the time, so that it shows how old a server's data are.
const markKey = "chaos:mark"

// RedisPair is a primary and a replica. The replication link goes through a proxy, so that the replica can be made to
// lag; clients come by proxies that a failover leads to the other server.
type RedisPair struct {
	mu      sync.Mutex
	servers [2]*servers.Server
	admin   [2]*redis.Client // straight, past all proxies
	primary int
	link    *proxy.Proxy // to the primary, for the replica
	clients []*proxy.Proxy
	mark    int64
}

func newRedisPair(dir string) (*RedisPair, error) {
	p := &RedisPair{}
	for i := range p.servers {
		// Two lives of one server shall not be told apart by a rewritten file: what is copied is one plain log.
		s, err := servers.NewRedis(filepath.Join(dir, fmt.Sprintf("redis-%d", i+1)),
			"--auto-aof-rewrite-percentage", "0", "--repl-diskless-sync-delay", "0", "--repl-timeout", "5")
		if err != nil {
			return nil, err
		}
		p.servers[i] = s
		p.admin[i] = redis.NewClient(&redis.Options{
			Addr: s.Addr(), MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: 2 * time.Second, PoolSize: 4,
		})
	}
	link, err := proxy.Listen(p.servers[0].Addr())
	if err != nil {
		return nil, err
	}
	p.link = link
	return p, nil
}

func (p *RedisPair) start(ctx context.Context) error {
	for _, s := range p.servers {
		if err := s.Start(ctx); err != nil {
			return err
		}
	}
	return p.follow(ctx)
}

// follow makes the other server a replica of the primary.
func (p *RedisPair) follow(ctx context.Context) error {
	host, port, _ := strings.Cut(p.link.Addr(), ":")
	return p.admin[1-p.primary].ReplicaOf(ctx, host, port).Err()
}

// Primary is the server that clients reach now.
func (p *RedisPair) Primary() *servers.Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.servers[p.primary]
}

// Admin speaks to the primary past all proxies.
func (p *RedisPair) Admin() *redis.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.admin[p.primary]
}

// Mark writes the next number, so that it can be told later how old a server's data are.
func (p *RedisPair) Mark(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admin[p.primary].Set(ctx, markKey, p.mark+1, 0).Err(); err != nil {
		return err
	}
	p.mark++
	return nil
}

// lost is how many marks the primary lacks. The lock is held, so that no mark comes between.
func (p *RedisPair) lost(ctx context.Context) (int64, error) {
	text, err := p.admin[p.primary].Get(ctx, markKey).Result()
	if errors.Is(err, redis.Nil) {
		return p.mark, nil
	}
	if err != nil {
		return 0, err
	}
	found, err := strconv.ParseInt(text, 10, 64)
	return p.mark - found, err
}

// Lag holds up the replication until Failover or CatchUp.
func (p *RedisPair) Lag() { p.link.Stall() }

// CatchUp lets the replica have what it lacks.
func (p *RedisPair) CatchUp() { p.link.Heal() }

// Failover makes the replica the primary as it is now, and returns how many marks it lacks. Clients lose their
// connections and find the new one behind the same addresses; nobody reaches the old one any more, which becomes a
// replica. kill: the old one dies first.
func (p *RedisPair) Failover(ctx context.Context, kill bool) (lost int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.clients {
		c.Cut()
	}
	defer func() {
		for _, c := range p.clients {
			c.Heal()
		}
	}()
	old, next := p.primary, 1-p.primary
	if kill {
		if err = p.servers[old].Kill(); err != nil {
			return 0, err
		}
	}
	p.link.Cut() // what was held up must not arrive after all
	if err = p.promote(ctx, next); err != nil {
		return 0, err
	}
	p.primary = next
	if lost, err = p.lost(ctx); err != nil {
		return 0, err
	}
	p.link.SetTarget(p.servers[next].Addr())
	p.link.Heal()
	for _, c := range p.clients {
		c.SetTarget(p.servers[next].Addr())
	}
	if kill {
		if err = p.servers[old].Start(ctx); err != nil {
			return 0, err
		}
	}
	return lost, p.follow(ctx)
}

// promote ends a server's being a replica. One that is still reading its copy of the data says so, and is asked again.
func (p *RedisPair) promote(ctx context.Context, next int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := p.admin[next].ReplicaOf(ctx, "NO", "ONE").Err()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("promote: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Synced says whether the replica has a connection to its primary and a copy of its data.
func (p *RedisPair) Synced(ctx context.Context) bool {
	p.mu.Lock()
	replica := p.admin[1-p.primary]
	p.mu.Unlock()
	info, err := replica.Info(ctx, "replication").Result()
	return err == nil && strings.Contains(info, "master_link_status:up")
}

// Copy keeps what the primary has on its disk now, in a folder beside.
func (p *RedisPair) Copy() (string, error) {
	source := filepath.Join(p.Primary().Dir(), "appendonlydir")
	target := p.Primary().Dir() + ".copy"
	if err := os.RemoveAll(target); err != nil {
		return "", err
	}
	// The manifest is read before and after: a log that was rewritten meanwhile is no copy of one moment.
	before, err := manifest(source)
	if err != nil {
		return "", err
	}
	if err = os.CopyFS(target, os.DirFS(source)); err != nil {
		return "", err
	}
	after, err := manifest(source)
	if err == nil && before != after {
		err = errors.New("the log was rewritten while it was copied")
	}
	return target, err
}

func manifest(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.manifest"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%d manifests in %s: %w", len(found), dir, errors.Join(err, os.ErrNotExist))
	}
	text, err := os.ReadFile(found[0])
	return string(text), err
}

// Restore kills the primary and starts it on what the folder has, "": on nothing. It returns how many marks are lost.
func (p *RedisPair) Restore(ctx context.Context, from string) (lost int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.servers[p.primary]
	if err := s.Kill(); err != nil {
		return 0, err
	}
	target := filepath.Join(s.Dir(), "appendonlydir")
	if err := os.RemoveAll(target); err != nil {
		return 0, err
	}
	if from != "" {
		if err := os.CopyFS(target, os.DirFS(from)); err != nil {
			return 0, err
		}
	}
	if err := s.Start(ctx); err != nil {
		return 0, err
	}
	return p.lost(ctx)
}

func (p *RedisPair) close() error {
	var errs []error
	for i, s := range p.servers {
		if s != nil {
			errs = append(errs, p.admin[i].Close(), s.Close())
		}
	}
	if p.link != nil {
		p.link.Close()
	}
	return errors.Join(errs...)
}
