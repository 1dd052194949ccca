package measure

import (
	"context"
	"errors"
	"fmt"

	"github.com/firstcome/firstcome/bench/limits"
	"github.com/firstcome/firstcome/bench/report"
)

// admitted is how many users a coupon has whose memory is counted.
func (s *Suite) admitted() int {
	if s.Quick {
		return 100_000
	}
	return 1_000_000
}

// memory counts the bytes of all keys of a coupon's tag for each user who has a place, when nothing is pending any more.
func (s *Suite) memory(ctx context.Context) error {
	id, err := s.World.Publish(ctx, nil)
	if err != nil {
		return err
	}
	if err = s.bytesOf(ctx, "memory", "Redis memory of an admitted user, coupon alone, ids of 16 characters", id, 0); err != nil {
		return err
	}
	event, err := s.World.Event(ctx)
	if err != nil {
		return err
	}
	if id, err = s.World.Publish(ctx, map[string]any{"event_id": event}); err != nil {
		return err
	}
	return s.bytesOf(ctx, "memory/event", "Redis memory of an admitted user, coupon of an event, ids of 16 characters", id, event)
}

// userPrefix makes ids of 16 characters.
const userPrefix = "user.id-"

func (s *Suite) bytesOf(ctx context.Context, name, what string, couponID, eventID int64) (err error) {
	gate, err := s.World.Gate(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gate.Close()) }()
	ref := refOf(couponID, eventID)
	users := names(userPrefix, s.admitted())
	if _, err = limits.Place(ctx, gate, ref, users); err != nil {
		return err
	}
	bytes, keys, err := s.World.TagBytes(ctx, ref.Tag)
	if err != nil {
		return err
	}
	if keys < 3 {
		return fmt.Errorf("only %d keys of the tag %s: gate, coupon and holders at least", keys, ref.Tag)
	}
	s.Report.Add(name, what, "bytes", report.Sample{
		Value: float64(bytes) / float64(len(users)), Notes: map[string]float64{"users": float64(len(users)), "keys": float64(keys)},
	})
	return nil
}
