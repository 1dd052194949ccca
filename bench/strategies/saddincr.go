package strategies

import (
	"context"
	"fmt"
)

// saddIncr remembers the user in a set, takes a number, and puts a record on the log: three steps, and a crash fits between
// any two of them.
type saddIncr struct{ Bench }

func (s saddIncr) Claim(ctx context.Context, user string) (Answer, error) {
	added, err := s.Redis.SAdd(ctx, fmt.Sprintf("lab:users:%d", s.Coupon), user).Result()
	if err != nil {
		return 0, err
	}
	if added == 0 {
		return Got, nil // so it must have been, mustn't it
	}
	number, err := s.Redis.Incr(ctx, fmt.Sprintf("lab:count:%d", s.Coupon)).Result()
	if err != nil {
		return 0, err
	}
	if number > s.Cap {
		return SoldOut, s.Redis.SRem(ctx, fmt.Sprintf("lab:users:%d", s.Coupon), user).Err()
	}
	return Got, s.Log(ctx, user)
}
