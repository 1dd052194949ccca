// Package world is what a run of chaos happens to: Kafka, a pair of Redis servers, MySQL, and the product's programs as
// processes under a supervisor. Every connection between two of them goes through a proxy of its own, which can spoil it.
package world

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firstcome/firstcome/e2e/proxy"
	"github.com/firstcome/firstcome/e2e/servers"
)

// The servers, as links and faults name them.
const (
	Redis = "redis"
	Kafka = "kafka"
	MySQL = "mysql"
)

// Topic and Group are the defaults of the product.
const (
	Topic = "firstcome.issues.v1"
	Group = "firstcome-issues"
)

// secret signs the run's tokens; it is no secret at all.
const secret = "chaos-signs-with-this-0123456789abcdef"

// readyWithin bounds the start of all roles on a busy machine.
const readyWithin = 90 * time.Second

// spareConsumer is the one that comes and goes, to move partitions.
const spareConsumer = "consumer-3"

// World is all of it.
type World struct {
	Dir   string
	Kafka *servers.Server
	MySQL *servers.Server
	Redis *RedisPair
	Roles []*Role // that run all the time
	Spare *Role   // a further consumer; not started
	DB    *sql.DB // straight, past all proxies

	bin    string
	chance *rand.Rand
	mu     sync.Mutex
	closed bool
}

// programs lists the roles and the servers each of them needs.
func programs() []struct{ name, kind string } {
	return []struct{ name, kind string }{
		{"api-1", "api"}, {"api-2", "api"}, {"consumer-1", "consumer"}, {"consumer-2", "consumer"},
		{"batch-1", "batch"}, {"batch-2", "batch"}, {spareConsumer, "consumer"},
	}
}

// Start starts servers and roles, with everything they keep below dir. bin is the folder of the programs.
func Start(ctx context.Context, dir, bin string, chance *rand.Rand) (_ *World, err error) {
	w := &World{Dir: dir, bin: bin, chance: chance}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	for _, sub := range []string{"logs", "data"} {
		if err = os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	if w.Redis, err = newRedisPair(data); err != nil {
		return nil, err
	}
	if w.MySQL, err = servers.NewMySQL(filepath.Join(data, "mysql")); err != nil {
		return nil, err
	}
	if err = w.makeRoles(); err != nil {
		return nil, err
	}
	var begun sync.WaitGroup
	errs := make([]error, 3)
	begun.Go(func() { errs[0] = w.Redis.start(ctx) })
	begun.Go(func() { errs[1] = w.MySQL.Start(ctx) })
	begun.Go(func() { errs[2] = w.Kafka.Start(ctx) })
	begun.Wait()
	if err = errors.Join(errs...); err != nil {
		return nil, err
	}
	w.DB, err = sql.Open("mysql", w.MySQL.DSN()+"?parseTime=true&loc=UTC&timeout=2s&readTimeout=60s&interpolateParams=true")
	if err != nil {
		return nil, err
	}
	w.DB.SetConnMaxIdleTime(time.Second)                                        // MySQL is killed now and then
	migrate := exec.CommandContext(ctx, filepath.Join(bin, "batch"), "migrate") //nolint:gosec // a program of the product
	migrate.Env, migrate.Dir = w.env(w.straight()), dir
	if out, err := migrate.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("batch migrate: %w\n%s", err, out)
	}
	for _, r := range w.Roles {
		r.supervise()
	}
	return w, w.AwaitReady(ctx)
}

// AwaitReady waits until every role says that it is ready.
func (w *World) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for _, r := range w.Roles {
		for {
			err := r.Ready(ctx)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s does not get ready: %w; see %s", r.Name, err, r.logPath)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// makeRoles makes the proxies, the broker that tells each role the address of its own one, and the roles.
func (w *World) makeRoles() error {
	var advertised []string
	var toKafka []*proxy.Proxy
	for _, p := range programs() {
		r := &Role{
			Name: p.name, Kind: p.kind, program: filepath.Join(w.bin, p.kind), dir: w.Dir, Links: map[string]*proxy.Proxy{},
			logPath: filepath.Join(w.Dir, "logs", p.name+".log"),
			chance:  rand.New(rand.NewPCG(w.chance.Uint64(), 0)), //nolint:gosec // chance that can be repeated
		}
		if p.kind == "batch" {
			r.args = []string{"serve"}
		}
		targets := map[string]string{MySQL: w.MySQL.Addr(), Kafka: "127.0.0.1:1"} // Kafka's is known below
		if p.kind != "consumer" {
			targets[Redis] = w.Redis.Primary().Addr()
		}
		for name, target := range targets {
			link, err := proxy.Listen(target)
			if err != nil {
				return err
			}
			r.Links[name] = link
		}
		if link := r.Links[Redis]; link != nil {
			w.Redis.clients = append(w.Redis.clients, link)
		}
		advertised = append(advertised, r.Links[Kafka].Addr())
		toKafka = append(toKafka, r.Links[Kafka])
		if err := w.addresses(r); err != nil {
			return err
		}
		if p.name == spareConsumer {
			w.Spare = r
		} else {
			w.Roles = append(w.Roles, r)
		}
	}
	var err error
	w.Kafka, err = servers.NewKafka(filepath.Join(w.Dir, "data"), servers.KafkaOptions{Advertised: advertised})
	if err != nil {
		return err
	}
	for i, link := range toKafka {
		link.SetTarget(w.Kafka.Listener(i))
	}
	return nil
}

// addresses gives a role its listeners and its environment.
func (w *World) addresses(r *Role) error {
	ops, err := freeAddr(w.chance)
	if err != nil {
		return err
	}
	r.Ops = "http://" + ops
	settings := map[string]string{"FIRSTCOME_OPS_ADDR": ops}
	if r.Kind == "api" {
		addr, err := freeAddr(w.chance)
		if err != nil {
			return err
		}
		settings["FIRSTCOME_HTTP_ADDR"] = addr
		if r.Front, err = proxy.Listen(addr); err != nil {
			return err
		}
		r.HTTP = "http://" + r.Front.Addr()
	}
	servers := map[string]string{}
	for name, link := range r.Links {
		servers[name] = link.Addr()
	}
	r.env = w.env(servers)
	for name, value := range settings {
		r.env = append(r.env, name+"="+value)
	}
	return nil
}

// straight are the servers' own addresses.
func (w *World) straight() map[string]string {
	return map[string]string{Redis: w.Redis.Primary().Addr(), Kafka: w.Kafka.Addr(), MySQL: w.MySQL.Addr()}
}

// env is the environment of a program that reaches the servers at these addresses.
func (w *World) env(servers map[string]string) []string {
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "FIRSTCOME_") })
	dsn := strings.Replace(w.MySQL.DSN(), w.MySQL.Addr(), servers[MySQL], 1)
	env = append(env,
		"FIRSTCOME_AUTH_HS256_SECRET="+secret, "FIRSTCOME_LOG_FORMAT=text",
		"FIRSTCOME_KAFKA_BROKERS="+servers[Kafka], "FIRSTCOME_DATABASE_DSN="+dsn,
		// Shorter than the defaults, so that a thousand faults fit into an hour; what they bound is the same.
		"FIRSTCOME_KAFKA_TIMEOUT=3s", "FIRSTCOME_REBUILD_LEASE=5s", "FIRSTCOME_BATCH_RETRY_EVERY=2s",
		"FIRSTCOME_BATCH_REBUILD_EVERY=5s", "FIRSTCOME_BATCH_CHANGES_EVERY=2s", "FIRSTCOME_BATCH_LEASE=10s",
		// After a failover the one server that is left must write without a replica. No fault leaves two primaries.
		"FIRSTCOME_CHECKS_ALLOW=redis_replica_lag,redis_min_replicas",
	)
	if addr := servers[Redis]; addr != "" {
		env = append(env, "FIRSTCOME_REDIS_ADDRS="+addr)
	}
	return env
}

// Answers asks a server whether it does, past all proxies and within 0.7 s.
func (w *World) Answers(ctx context.Context, server string) error {
	ctx, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
	defer cancel()
	switch server {
	case Redis:
		return w.Redis.Admin().Ping(ctx).Err()
	case MySQL:
		return w.DB.PingContext(ctx)
	default:
		client, err := kgo.NewClient(kgo.SeedBrokers(w.Kafka.Addr()))
		if err != nil {
			return err
		}
		defer client.Close()
		_, err = kadm.NewClient(client).ListBrokers(ctx)
		return err
	}
}

// Server by its name; of Redis the primary.
func (w *World) Server(name string) *servers.Server {
	switch name {
	case Redis:
		return w.Redis.Primary()
	case MySQL:
		return w.MySQL
	default:
		return w.Kafka
	}
}

// Members are those of the consumers' group that have partitions.
func (w *World) Members(ctx context.Context) (ids []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.Kafka.Addr()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, Group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		return nil, err
	}
	for _, m := range groups[Group].Members {
		if a, ok := m.Assigned.AsConsumer(); ok && len(a.Topics) > 0 && len(a.Topics[0].Partitions) > 0 {
			ids = append(ids, m.MemberID)
		}
	}
	return ids, nil
}

// Command is a program of the product on the servers themselves, past all proxies.
func (w *World) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, program), args...) //nolint:gosec // a program of the product
	cmd.Env, cmd.Dir = w.env(w.straight()), w.Dir
	return cmd
}

// Secret signs tokens.
func (w *World) Secret() []byte { return []byte(secret) }

// Role by its name.
func (w *World) Role(name string) *Role {
	for _, r := range append(slices.Clone(w.Roles), w.Spare) {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// APIs are the base URLs of the apis, by way of their front proxies.
func (w *World) APIs() []string {
	var urls []string
	for _, r := range w.Roles {
		if r.HTTP != "" {
			urls = append(urls, r.HTTP)
		}
	}
	return urls
}

// StartSpare starts the further consumer.
func (w *World) StartSpare() {
	w.Spare.mu.Lock()
	w.Spare.closed = false
	w.Spare.mu.Unlock()
	w.Spare.supervise()
}

// StopSpare ends it again, gently; its proxies stay.
func (w *World) StopSpare() { w.Spare.end() }

// Close ends everything that was started.
func (w *World) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	var ended sync.WaitGroup
	for _, r := range w.Roles {
		ended.Go(r.Close)
	}
	if w.Spare != nil {
		ended.Go(w.Spare.Close)
	}
	ended.Wait()
	var errs []error
	if w.DB != nil {
		errs = append(errs, w.DB.Close())
	}
	for _, s := range []*servers.Server{w.Kafka, w.MySQL} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	if w.Redis != nil {
		errs = append(errs, w.Redis.close())
	}
	return errors.Join(errs...)
}
