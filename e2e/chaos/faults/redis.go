package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/firstcome/firstcome/e2e/chaos/history"
	"github.com/firstcome/firstcome/e2e/chaos/schedule"
	"github.com/firstcome/firstcome/e2e/chaos/world"
)

func redisKinds() []Kind {
	return []Kind{
		{choice("redis FLUSHALL", 2), claims, onRedis, func(e Env, _ schedule.Step) Fault {
			return &redisFlushed{pair: e.World.Redis}
		}},
		{choice("redis SCRIPT FLUSH", 1), claims, onRedis, func(e Env, _ schedule.Step) Fault {
			return &scriptsFlushed{pair: e.World.Redis}
		}},
		{choice("redis key deleted", 4), claims, onRedis, func(e Env, s schedule.Step) Fault {
			return &keyDeleted{env: e, pick: s.Pick}
		}},
		{seconds(choice("redis from old copy", 2), 0.5, 6), claims, onRedis, func(e Env, s schedule.Step) Fault {
			return &redisRestored{pair: e.World.Redis, age: s.Hold}
		}},
		{choice("redis starts empty", 1), claims, onRedis, func(e Env, _ schedule.Step) Fault {
			return &redisRestored{pair: e.World.Redis, empty: true}
		}},
		{seconds(choice("redis fails over", 2), 0.3, 4), claims, redisAndLinks, func(e Env, s schedule.Step) Fault {
			return &redisFailsOver{pair: e.World.Redis, lag: s.Hold, kill: s.Pick%2 == 0}
		}},
	}
}

func onRedis(string) []string { return []string{world.Redis} }

// redisAndLinks: a failover cuts and heals the way to Redis of everybody.
func redisAndLinks(string) []string {
	needs := []string{world.Redis}
	for _, link := range links() {
		if strings.HasSuffix(link, ">"+world.Redis) {
			needs = append(needs, link)
		}
	}
	return needs
}

// redisFlushed empties Redis under everybody's feet.
type redisFlushed struct {
	pair *world.RedisPair
	keys int64
}

func (f *redisFlushed) Inject(ctx context.Context) (err error) {
	if f.keys, err = f.pair.Admin().DBSize(ctx).Result(); err != nil {
		return err
	}
	return f.pair.Admin().FlushAll(ctx).Err()
}

func (f *redisFlushed) Evidence(context.Context) (string, error) {
	if f.keys == 0 {
		return "", fmt.Errorf("there were no keys: %w", ErrNoEffect)
	}
	return fmt.Sprintf("%d keys were gone", f.keys), nil
}

func (f *redisFlushed) Heal(context.Context) error { return nil }

// scriptsFlushed makes Redis forget all scripts.
type scriptsFlushed struct {
	pair *world.RedisPair
	had  string
}

func (f *scriptsFlushed) Inject(ctx context.Context) error {
	info, err := f.pair.Admin().Info(ctx, "memory").Result()
	if err != nil {
		return err
	}
	_, after, _ := strings.Cut(info, "number_of_cached_scripts:")
	f.had, _, _ = strings.Cut(after, "\r")
	return f.pair.Admin().ScriptFlush(ctx).Err()
}

func (f *scriptsFlushed) Evidence(context.Context) (string, error) {
	if f.had == "" || f.had == "0" {
		return "", fmt.Errorf("it had %q scripts: %w", f.had, ErrNoEffect)
	}
	return f.had + " scripts were gone", nil
}

func (f *scriptsFlushed) Heal(context.Context) error { return nil }

// keyDeleted deletes one key of one gate, as an eviction or a hand can.
type keyDeleted struct {
	env   Env
	pick  uint64
	offer Offer
	taken bool
	key   string
	gone  int64
}

func (f *keyDeleted) Coupon() int64 { return f.offer.ID }

func (f *keyDeleted) Over(e history.Exchange) bool { return e.Definite() }

func (f *keyDeleted) Inject(ctx context.Context) error {
	if f.offer, f.taken = f.env.Admin.Take(f.pick, false); !f.taken {
		return errors.New("no coupon is on sale")
	}
	client := f.env.World.Redis.Admin()
	keys, err := client.Keys(ctx, "fc:{"+f.offer.Tag+"}:*").Result()
	if err != nil {
		return err
	}
	// A lease and what a rebuild is loading are not of the gate.
	keys = slices.DeleteFunc(keys, func(k string) bool { return strings.Contains(k, ":load:") || strings.Contains(k, ":sweeper:") })
	if len(keys) == 0 {
		return fmt.Errorf("coupon %d has no keys at the moment", f.offer.ID)
	}
	slices.Sort(keys)
	f.key = keys[(f.pick>>8)%uint64(len(keys))]
	f.gone, err = client.Del(ctx, f.key).Result()
	return err
}

func (f *keyDeleted) Evidence(context.Context) (string, error) {
	if f.gone == 0 {
		return "", fmt.Errorf("%s was gone already: %w", f.key, ErrNoEffect)
	}
	return f.key + " was deleted", nil
}

func (f *keyDeleted) Heal(context.Context) error {
	if f.taken {
		f.env.Admin.Release(f.offer)
	}
	return nil
}

// redisRestored starts Redis again on what it had on disk a while ago, or on nothing.
type redisRestored struct {
	pair  *world.RedisPair
	age   time.Duration
	empty bool
	lost  int64
}

func (f *redisRestored) Inject(ctx context.Context) (err error) {
	from := ""
	if !f.empty {
		if from, err = f.pair.Copy(); err != nil {
			return err
		}
		if err = pause(ctx, f.age); err != nil {
			return err
		}
	}
	f.lost, err = f.pair.Restore(ctx, from)
	return err
}

func (f *redisRestored) Evidence(context.Context) (string, error) {
	if f.lost <= 0 {
		return "", fmt.Errorf("nothing that was written is missing: %w", ErrNoEffect)
	}
	return fmt.Sprintf("the last %d marks were gone", f.lost), nil
}

func (f *redisRestored) Heal(ctx context.Context) error {
	if s := f.pair.Primary(); !s.Running() {
		return s.Start(ctx)
	}
	return nil
}

// redisFailsOver promotes a replica that lags. The next failover promotes the former primary again.
type redisFailsOver struct {
	pair *world.RedisPair
	lag  time.Duration
	kill bool // the primary dies; else it lives on as a replica
	lost int64
}

func (f *redisFailsOver) Inject(ctx context.Context) (err error) {
	f.pair.Lag()
	if err = pause(ctx, f.lag); err != nil {
		return err
	}
	f.lost, err = f.pair.Failover(ctx, f.kill)
	return err
}

func (f *redisFailsOver) Evidence(context.Context) (string, error) {
	if f.lost <= 0 {
		return "", fmt.Errorf("the replica did not lag: %w", ErrNoEffect)
	}
	return fmt.Sprintf("the replica lacked the last %d marks", f.lost), nil
}

func (f *redisFailsOver) Heal(context.Context) error {
	f.pair.CatchUp()
	return nil
}
