package world

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/bench/crowd"
)

// Holders is how many users have a place at a coupon of no event, as the gate in Redis has them.
func (w *World) Holders(ctx context.Context, coupon int64) (int64, error) {
	return w.Redis.HLen(ctx, holders(coupon)).Result()
}

func tag(coupon int64) string     { return fmt.Sprintf("fc:{c%d}:", coupon) }
func holders(coupon int64) string { return fmt.Sprintf("%sholders:%d", tag(coupon), coupon) }

const (
	plantFields   = 1000 // holders in a command
	plantCommands = 20   // commands in a pipeline
)

// PlantHolders gives a new coupon so many holders straight in Redis, as the gate would have written them: into a hash beside
// it, which takes its place together with the coupon's counters, so that no gate is ever unsound.
func (w *World) PlantHolders(ctx context.Context, coupon int64, n int) error {
	plan := crowd.Plan{Prefix: "planted-"}
	beside := tag(coupon) + "planted"
	now := time.Now().UnixMicro()
	for from := 0; from < n; {
		_, err := w.Redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for range plantCommands {
				fields := make([]any, 0, 2*plantFields)
				for ; from < n && len(fields) < 2*plantFields; from++ {
					fields = append(fields, plan.Name(from), fmt.Sprintf("%d:%d", from+1, now))
				}
				if len(fields) > 0 {
					pipe.HSet(ctx, beside, fields...)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("plant holders: %w", err)
		}
	}
	_, err := w.Redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Rename(ctx, beside, holders(coupon))
		pipe.HSet(ctx, fmt.Sprintf("%scoupon:%d", tag(coupon), coupon), "admitted", n, "last_seq", n)
		return nil
	})
	if err != nil {
		return fmt.Errorf("plant holders: %w", err)
	}
	return w.untilRewritten(ctx)
}

// untilRewritten waits while Redis rewrites its log or saves a snapshot, which what was planted may have made it do. It
// decides so ten times a second: three quiet looks are enough.
func (w *World) untilRewritten(ctx context.Context) error {
	for quiet := 0; quiet < 3; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		info, err := w.Redis.Info(ctx, "persistence").Result()
		if err != nil {
			return err
		}
		quiet++
		for _, busy := range []string{"aof_rewrite_in_progress:1", "aof_rewrite_scheduled:1", "rdb_bgsave_in_progress:1"} {
			if strings.Contains(info, busy) {
				quiet = 0
			}
		}
	}
	return nil
}

// TagBytes is what all keys of a tag take in Redis, counted to the last field, and how many keys these are.
func (w *World) TagBytes(ctx context.Context, tag string) (bytes int64, keys int, err error) {
	found := w.Redis.Scan(ctx, 0, "fc:{"+tag+"}:*", 10_000).Iterator()
	for found.Next(ctx) {
		n, err := w.Redis.MemoryUsage(ctx, found.Val(), 0).Result()
		if err != nil {
			return 0, 0, err
		}
		bytes += n
		keys++
	}
	return bytes, keys, found.Err()
}
