package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/bench/crowd"
)

// drainWithin bounds the wait for the last row.
const drainWithin = 3 * time.Minute

// untilIssued waits until so many rows are written. The counter of the coupon's own row tells: counting rows would cost
// what is measured. checkRows counts them afterwards.
func (s *Suite) untilIssued(ctx context.Context, coupon, rows int64) error {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	for {
		issued, err := s.World.Issued(ctx, coupon)
		if err != nil {
			return fmt.Errorf("wait for the last of %d rows: %w", rows, err)
		}
		if issued >= rows {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d rows after %s: %w", issued, rows, drainWithin, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// check says whether the outcome of a coupon that had as many places as users asked is right.
func (s *Suite) check(ctx context.Context, plan crowd.Plan, o crowd.Outcome, places int64) error {
	if err := s.checkRows(ctx, plan, o, places); err != nil {
		return err
	}
	return s.checkHolders(ctx, plan.Coupon, places)
}

// checkRows says whether there are so many rows, each receipt is a row with its number, and no number is there twice.
func (s *Suite) checkRows(ctx context.Context, plan crowd.Plan, o crowd.Outcome, want int64) error {
	rows, err := s.World.Rows(ctx, plan.Coupon)
	if err != nil {
		return err
	}
	if int64(len(rows)) != want {
		return fmt.Errorf("wrong outcome: %d rows of %d", len(rows), want)
	}
	for i, seq := range o.Seqs {
		if name := plan.Name(i); seq == 0 || rows[name] != seq {
			return fmt.Errorf("wrong outcome: the receipt of %s has number %d, the row %d (0: there is none)", name, seq, rows[name])
		}
	}
	user := make(map[int64]string, len(rows))
	for name, seq := range rows {
		if user[seq] != "" {
			return fmt.Errorf("wrong outcome: %s and %s have number %d", user[seq], name, seq)
		}
		user[seq] = name
	}
	return nil
}

// checkHolders says whether so many users have a place at the gate.
func (s *Suite) checkHolders(ctx context.Context, coupon, want int64) error {
	holders, err := s.World.Holders(ctx, coupon)
	if err == nil && holders != want {
		err = fmt.Errorf("wrong outcome: %d holders at the gate instead of %d", holders, want)
	}
	return err
}
