package strategies

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// admitOne answers 1: a place; 2: the user had it; 0: none is left.
const admitOne = `
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then return 2 end
if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('SADD', KEYS[1], ARGV[1])
return 1`

// luaProduce decides in one script and puts one record on the log, for each request. It is right until somebody dies
// between the two: the user has a place then that no record tells of, and is told so for ever.
type luaProduce struct {
	Bench
	admit *redis.Script
}

func (s luaProduce) Claim(ctx context.Context, user string) (Answer, error) {
	said, err := s.admit.Run(ctx, s.Redis, []string{fmt.Sprintf("lab:holders:%d", s.Coupon)}, user, s.Cap).Int()
	switch {
	case err != nil:
		return 0, err
	case said == 0:
		return SoldOut, nil
	case said == 2:
		return Got, nil
	}
	return Got, s.Log(ctx, user)
}
