package measure

import (
	"context"
	"errors"
	"fmt"

	"github.com/firstcome/firstcome/bench/world"
)

// flatRounds of each size.
func (s *Suite) flatRounds() int { return min(s.Rounds, 3) }

// holderCounts are how many users have the coupon already.
func (s *Suite) holderCounts() []int {
	if s.Quick {
		return []int{1_000, 100_000}
	}
	return []int{1_000, 100_000, 10_000_000}
}

// manyHolders measures claims on coupons that more or fewer users have. The holders are planted straight in Redis.
func (s *Suite) manyHolders(ctx context.Context) error {
	ids := map[int]int64{}
	for _, n := range s.holderCounts() {
		id, err := s.World.Publish(ctx, nil)
		if err != nil {
			return err
		}
		s.say("%d holders", n)
		if err = s.World.PlantHolders(ctx, id, n); err != nil {
			return err
		}
		ids[n] = id
	}
	for round := range s.flatRounds() {
		for _, n := range s.holderCounts() {
			err := s.flat(ctx, fmt.Sprintf("holders/%d", n), fmt.Sprintf("durable claim, %d users have the coupon", n), ids[n], round, int64(n))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// couponCounts are how many coupons are open.
func (s *Suite) couponCounts() []int {
	if s.Quick {
		return []int{1, 1_000}
	}
	return []int{1, 1_000, 100_000}
}

// manyCoupons measures claims on one coupon while more or fewer others are open, in a world of their own.
func (s *Suite) manyCoupons(ctx context.Context) (err error) {
	own := *s // with the same report
	if own.World, err = world.Open(ctx, s.World.Options); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.World.Close(context.WithoutCancel(ctx))) }()
	if err = own.start(ctx); err != nil {
		return err
	}
	id, err := own.World.Publish(ctx, nil)
	if err != nil {
		return err
	}
	open := 1
	for _, n := range s.couponCounts() {
		s.say("%d coupons", n)
		if err = own.World.PublishMany(ctx, n-open); err != nil {
			return err
		}
		open = n
		for round := range s.flatRounds() {
			what := fmt.Sprintf("durable claim, %d coupons are open", n)
			if err = own.flat(ctx, fmt.Sprintf("coupons/%d", n), what, id, round+n, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// flat is half a crowd of new users at a coupon that others may have already. round makes their names.
func (s *Suite) flat(ctx context.Context, name, what string, id int64, round int, planted int64) error {
	users := s.crowdSize() / 2
	before, err := s.World.Issued(ctx, id)
	if err != nil {
		return err
	}
	front, err := s.parts("api", "redis")
	if err != nil {
		return err
	}
	plan := s.claims(id, fmt.Sprintf("f%d-", round), users)
	o, sample, err := s.load(ctx, front, plan)
	if err != nil {
		return err
	}
	rows := before + int64(users)
	if err = s.untilIssued(ctx, id, rows); err != nil {
		return err
	}
	if err = s.checkRows(ctx, plan, o, rows); err != nil {
		return err
	}
	if err = s.checkHolders(ctx, id, planted+rows); err != nil {
		return err
	}
	s.Report.Add(name, what, perSecond, sample)
	return nil
}
