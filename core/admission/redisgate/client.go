package redisgate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The ways Redis can be set up.
const (
	ModeSingle   = "single"
	ModeCluster  = "cluster"
	ModeSentinel = "sentinel"
)

// Config says where Redis is.
type Config struct {
	Mode       string   // single, cluster or sentinel; empty is single
	Addrs      []string // host:port: the server; some nodes of the cluster; the sentinels
	DB         int      // database number; 0 on a cluster
	MasterName string   // sentinel only
	Username   string   // ACL user; empty is the default user
	Password   string   // never printed
}

// Times and bounds of the client. A call takes well under a millisecond, so that a server which has not answered for a
// second is gone or being failed over, and the user is told to repeat the request.
const (
	dialTimeout = time.Second
	callTimeout = time.Second // of reading and of writing; the caller's deadline also counts, whichever is sooner
	// resends of a call whose reply was lost: every script but mark may run twice. One resend gets over a connection
	// that the server closed while it was idle; more would only keep a caller waiting whose time is 2 s.
	resends    = 1
	minBackoff = 8 * time.Millisecond
	maxBackoff = 64 * time.Millisecond
	// redirects bounds how often a call follows a moved slot; a resharding moves a slot once.
	redirects = 3
	// slotsGood is how old the client's picture of a cluster may be. A node that was replaced while it does not say so (it
	// stopped, or the network did) is found out by nothing else, and its coupons would wait for the library's minute.
	slotsGood = time.Second
)

// Open connects to Redis and asks it whether it answers. The error says what to look at; it never holds the password.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Gate, error) {
	client, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	g := New(client)
	if err := g.Ping(ctx); err != nil {
		return nil, errors.Join(explain(cfg, err), g.Close())
	}
	if err := g.inspect(ctx, cfg); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	log.InfoContext(ctx, "redis answers", "mode", cfg.mode(), "addrs", strings.Join(cfg.Addrs, ","))
	return g, nil
}

// inspect finds at the start what would otherwise show as an error of every call. How the server is set up is for Facts.
func (g *Gate) inspect(ctx context.Context, cfg Config) error {
	addrs := strings.Join(cfg.Addrs, ", ")
	cluster, err := g.client.Info(ctx, "cluster").Result()
	if err == nil && cfg.mode() == ModeSingle && strings.Contains(cluster, "cluster_enabled:1") {
		return fmt.Errorf("redis at %s is a node of a cluster (redis.mode)", addrs)
	}
	if err = g.client.Eval(ctx, luaSource("prelude")+"return this_server()", nil).Err(); err != nil {
		return fmt.Errorf("redis at %s does not tell a script who it is (INFO server, INFO replication), and a gate must notice "+
			"another server: %w", addrs, err)
	}
	return nil
}

func (c Config) mode() string {
	if c.Mode == "" {
		return ModeSingle
	}
	return c.Mode
}

func newClient(cfg Config) (redis.UniversalClient, error) {
	if len(cfg.Addrs) == 0 {
		return nil, errors.New("redis.addrs is empty: name at least one host:port")
	}
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch cfg.mode() {
	case ModeSingle:
		if len(cfg.Addrs) != 1 {
			return nil, fmt.Errorf("redis.addrs has %d addresses, and redis.mode single takes one", len(cfg.Addrs))
		}
		return redis.NewClient(&redis.Options{
			Addr: cfg.Addrs[0], DB: cfg.DB, Username: cfg.Username, Password: cfg.Password,
			DialTimeout: dialTimeout, ReadTimeout: callTimeout, WriteTimeout: callTimeout, ContextTimeoutEnabled: true,
			MaxRetries: resends, MinRetryBackoff: minBackoff, MaxRetryBackoff: maxBackoff,
			DialerRetries: 1, MaintNotificationsConfig: quiet,
		}), nil
	case ModeCluster:
		if cfg.DB != 0 {
			return nil, fmt.Errorf("redis.db is %d, and a cluster has only database 0", cfg.DB)
		}
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: cfg.Addrs, Username: cfg.Username, Password: cfg.Password,
			DialTimeout: dialTimeout, ReadTimeout: callTimeout, WriteTimeout: callTimeout, ContextTimeoutEnabled: true,
			ClusterStateReloadInterval: slotsGood, MaxRedirects: redirects, MaxRetries: resends, MinRetryBackoff: minBackoff, MaxRetryBackoff: maxBackoff,
			DialerRetries: 1, MaintNotificationsConfig: quiet,
		}), nil
	case ModeSentinel:
		if cfg.MasterName == "" {
			return nil, errors.New("redis.master_name is empty, and redis.mode sentinel needs it")
		}
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: cfg.MasterName, SentinelAddrs: cfg.Addrs, DB: cfg.DB,
			Username: cfg.Username, Password: cfg.Password,
			DialTimeout: dialTimeout, ReadTimeout: callTimeout, WriteTimeout: callTimeout, ContextTimeoutEnabled: true,
			MaxRetries: resends, MinRetryBackoff: minBackoff, MaxRetryBackoff: maxBackoff, DialerRetries: 1,
		}), nil
	default:
		return nil, fmt.Errorf("redis.mode is %q: single, cluster or sentinel", cfg.Mode)
	}
}

// explain says what a newcomer should look at when the first ping fails.
func explain(cfg Config, err error) error {
	addrs := strings.Join(cfg.Addrs, ", ")
	text := err.Error()
	switch {
	case strings.Contains(text, "connection refused"):
		return fmt.Errorf("redis at %s refused the connection: is it running? (redis.addrs): %w", addrs, err)
	case strings.Contains(text, "NOAUTH"):
		return fmt.Errorf("redis at %s wants a password (redis.password): %w", addrs, err)
	case strings.Contains(text, "WRONGPASS"), strings.Contains(text, "invalid username-password"):
		return fmt.Errorf("redis at %s does not take this user and password (redis.username, redis.password): %w", addrs, err)
	case strings.Contains(text, "cluster support disabled"):
		return fmt.Errorf("redis at %s is no cluster (redis.mode): %w", addrs, err)
	case strings.Contains(text, "DB index is out of range"):
		return fmt.Errorf("redis at %s has no database %d (redis.db): %w", addrs, cfg.DB, err)
	default:
		return fmt.Errorf("redis at %s does not answer (redis.addrs): %w", addrs, err)
	}
}
