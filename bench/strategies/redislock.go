package strategies

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisLock lets one claim at a time through, over all processes, as long as its lease lasts longer than the work.
type redisLock struct {
	noControl
	key    string
	lease  time.Duration
	unlock *redis.Script
}

// lockWait is how long a claim waits for the lock; lockPoll how often it asks.
const (
	lockWait = 5 * time.Second
	lockPoll = time.Millisecond
)

func newRedisLock(b Bench, lease time.Duration) redisLock {
	return redisLock{noControl: noControl{b}, key: fmt.Sprintf("lab:lock:%d", b.Coupon), lease: lease, unlock: redis.NewScript(unlock)}
}

// unlock frees the lock if it is still ours.
const unlock = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`

func (s redisLock) Claim(ctx context.Context, user string) (Answer, error) {
	token := rand.Text()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for until := time.Now().Add(lockWait); ; {
		locked, err := s.Redis.SetNX(ctx, s.key, token, s.lease).Result()
		if err != nil {
			return 0, err
		}
		if locked {
			break
		}
		if time.Now().After(until) {
			return 0, errGaveUp
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	answer, err := s.noControl.Claim(ctx, user)
	return answer, errors.Join(err, s.unlock.Run(ctx, s.Redis, []string{s.key}, token).Err())
}
