package measure

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/bench/crowd"
)

// losers is how many users a round has who come too late, each of them once in the whole run: a million in five rounds.
func (s *Suite) losers() int {
	if s.Quick {
		return 50_000
	}
	return 200_000
}

// winners is how many places the coupon had: so many names the api's memory must know, to tell losers from.
const winners = 10_000

// soldOut has ever other users ask for one coupon that has no place left.
func (s *Suite) soldOut(ctx context.Context) (err error) {
	if s.gone == 0 {
		if s.gone, err = s.sellOut(ctx); err != nil {
			return err
		}
	}
	s.came++
	plan := s.claims(s.gone, fmt.Sprintf("s%d", s.came), s.losers())
	plan.Expect = crowd.SoldOut
	front, err := s.parts("api", "redis")
	if err != nil {
		return err
	}
	before, err := s.api.Metrics(ctx)
	if err != nil {
		return err
	}
	_, sample, err := s.load(ctx, front, plan)
	if err != nil {
		return err
	}
	after, err := s.api.Metrics(ctx)
	if err != nil {
		return err
	}
	asked := after.Sum("firstcome_admission_memory_asked_total") - before.Sum("firstcome_admission_memory_asked_total")
	sample.Notes = map[string]float64{
		"users of this round": float64(plan.Users), "users so far": float64(plan.Users * s.came), "winners": winners, "asked of Redis": asked,
	}
	if err = s.stillGone(ctx); err != nil {
		return err
	}
	s.Report.Add("sold-out", "claims of users who come too late, 256 connections", perSecond, sample)
	return nil
}

// sellOut publishes a coupon and has it sold to the last place.
func (s *Suite) sellOut(ctx context.Context) (int64, error) {
	id, err := s.World.Publish(ctx, map[string]any{"total_quantity": winners})
	if err != nil {
		return 0, err
	}
	plan := s.claims(id, "w", winners)
	o, _, err := s.load(ctx, nil, plan)
	if err != nil {
		return 0, err
	}
	if err = s.untilIssued(ctx, id, winners); err != nil {
		return 0, err
	}
	return id, s.check(ctx, plan, o, winners)
}

// stillGone says that nobody got a place more.
func (s *Suite) stillGone(ctx context.Context) error {
	holders, err := s.World.Holders(ctx, s.gone)
	if err != nil {
		return err
	}
	issued, err := s.World.Issued(ctx, s.gone)
	if err == nil && (holders != winners || issued != winners) {
		err = fmt.Errorf("wrong outcome: %d holders and %d rows of %d places", holders, issued, winners)
	}
	return err
}
