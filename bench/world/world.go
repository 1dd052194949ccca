// Package world is what the harness measures: a firstcome of its own on the servers of `make services`, with a database,
// a topic, a consumer group and a Redis database number of its own, all removed at the end, and its roles as processes
// with their own defaults.
package world

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	"github.com/gofrs/flock"
	"github.com/redis/go-redis/v9"
)

// Options say where things are.
type Options struct {
	Bin string // folder of the programs api, consumer and batch
	Run string // folder in which `make services` keeps the pids of its servers
}

// World is a firstcome without roles yet.
type World struct {
	Options
	Secret    []byte
	DB        *sql.DB
	Redis     *redis.Client
	RedisAddr string
	RedisDB   int
	Brokers   []string
	Topic     string
	DSN       string // of the world's own database
	*Admin           // there after Administer

	env   []string
	logs  string // folder of the roles' logs
	spare bool   // its topic is made
	undo  []func(context.Context) error
}

// Open makes the world. Close removes it.
func Open(ctx context.Context, o Options) (_ *World, err error) {
	// Databases of these names are what `make services` lets its user make.
	id := fmt.Sprintf("e2e-bench-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)
	w := &World{Options: o, Topic: "firstcome." + id}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close(context.WithoutCancel(ctx)))
		}
	}()
	if w.logs, err = os.MkdirTemp("", "firstcome-bench-"); err != nil {
		return nil, err
	}
	w.later(func(context.Context) error { return os.RemoveAll(w.logs) })
	server, err := w.settings()
	if err != nil {
		return nil, err
	}
	if err = w.makeDatabase(ctx, server, "firstcome_"+strings.ReplaceAll(id, "-", "_")); err != nil {
		return nil, err
	}
	if err = w.takeRedis(ctx); err != nil {
		return nil, err
	}
	w.env = append(cleanEnv(),
		"FIRSTCOME_REDIS_ADDRS="+w.RedisAddr, fmt.Sprintf("FIRSTCOME_REDIS_DB=%d", w.RedisDB),
		"FIRSTCOME_KAFKA_BROKERS="+strings.Join(w.Brokers, ","), "FIRSTCOME_KAFKA_TOPIC="+w.Topic,
		"FIRSTCOME_KAFKA_GROUP="+w.Topic, "FIRSTCOME_DATABASE_DSN="+w.DSN, "FIRSTCOME_AUTH_HS256_SECRET="+string(w.Secret))
	if err = w.command(ctx, "batch", "migrate"); err != nil {
		return nil, err
	}
	w.later(func(context.Context) error { return w.deleteTopic(w.Topic) })
	return w, nil
}

// later has Close do something, before what was noted earlier.
func (w *World) later(undo func(context.Context) error) { w.undo = append(w.undo, undo) }

// Close stops the roles that still run and removes what the world made.
func (w *World) Close(ctx context.Context) (err error) {
	for i := len(w.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, w.undo[i](ctx))
	}
	w.undo = nil
	return err
}

// settings are what `make services` wrote to .run/env.
func (w *World) settings() (dsn string, err error) {
	var errs []error
	get := func(name string) string {
		value := os.Getenv("FIRSTCOME_" + name)
		if value == "" {
			errs = append(errs, fmt.Errorf("FIRSTCOME_%s is not set: `make services` writes it to .run/env, and `make bench` reads that", name))
		}
		return value
	}
	w.RedisAddr, w.Brokers = get("REDIS_ADDRS"), strings.Split(get("KAFKA_BROKERS"), ",")
	w.Secret, dsn = []byte(get("AUTH_HS256_SECRET")), get("DATABASE_DSN")
	return dsn, errors.Join(errs...)
}

func (w *World) makeDatabase(ctx context.Context, server, name string) error {
	slash := strings.LastIndex(server, "/")
	if slash < 0 {
		return errors.New("FIRSTCOME_DATABASE_DSN must be of the form user:password@tcp(host:port)/name")
	}
	outer, err := sql.Open("mysql", server)
	if err != nil {
		return err
	}
	w.later(func(context.Context) error { return outer.Close() })
	if _, err = outer.ExecContext(ctx, "CREATE DATABASE `"+name+"` CHARACTER SET utf8mb4"); err != nil {
		return fmt.Errorf("make a database of the harness's own: %w", err)
	}
	w.later(func(ctx context.Context) error {
		_, dropped := outer.ExecContext(ctx, "DROP DATABASE `"+name+"`")
		return dropped
	})
	w.DSN = server[:slash+1] + name
	if w.DB, err = sql.Open("mysql", w.DSN+"?parseTime=true&interpolateParams=true"); err != nil {
		return err
	}
	w.later(func(context.Context) error { return w.DB.Close() })
	w.DB.SetMaxIdleConns(16)
	return w.DB.PingContext(ctx)
}

// takeRedis takes one of Redis' databases 1 to 15 that nobody else of this machine's tests and measurements holds.
func (w *World) takeRedis(ctx context.Context) error {
	for n := 1; n <= 15; n++ {
		lock := flock.New(filepath.Join(os.TempDir(), fmt.Sprintf("firstcome-e2e-redis-%d.lock", n)))
		held, err := lock.TryLock()
		if err != nil {
			return err
		}
		if !held {
			continue
		}
		w.later(func(context.Context) error { return lock.Unlock() })
		w.RedisDB = n
		w.Redis = redis.NewClient(&redis.Options{Addr: w.RedisAddr, DB: n, ReadTimeout: time.Minute, DialerRetries: 1})
		w.later(func(context.Context) error { return w.Redis.Close() })
		empty := func(ctx context.Context) error { return w.Redis.FlushDBAsync(ctx).Err() }
		w.later(empty)
		return empty(ctx)
	}
	return errors.New("all 15 databases of Redis are held by other measurements and tests")
}

// cleanEnv is the environment without anybody's settings.
func cleanEnv() (env []string) {
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "FIRSTCOME_") || strings.HasPrefix(line, "FIRSTCOME_OPS_PROFILE=") {
			env = append(env, line)
		}
	}
	return env
}
