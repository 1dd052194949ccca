package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/bench/crowd"
)

// drainWithin bounds the wait for the last row.
const drainWithin = 3 * time.Minute

// untilIssued waits until so many rows are written. The counter of the coupon's own row tells, and counting rows would
// cost what is measured; check counts them afterwards.
func (s *Suite) untilIssued(ctx context.Context, coupon, rows int64) error {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	for {
		var issued int64
		if err := s.World.DB.QueryRowContext(ctx, "SELECT issued_count FROM coupons WHERE id = ?", coupon).Scan(&issued); err != nil {
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

// check says whether the outcome is right: as many rows as places, each receipt a row with its number, no number twice,
// and as many holders at the gate.
func (s *Suite) check(ctx context.Context, plan crowd.Plan, o crowd.Outcome, places int64) error {
	if err := o.Right(); err != nil {
		return err
	}
	rows, err := s.World.Rows(ctx, plan.Coupon)
	if err != nil {
		return err
	}
	if int64(len(rows)) != places {
		return fmt.Errorf("wrong outcome: %d rows of %d places", len(rows), places)
	}
	numbers := make(map[int64]bool, len(rows))
	for i, seq := range o.Seqs {
		if seq == 0 {
			continue
		}
		name := plan.Name(i)
		if rows[name] != seq {
			return fmt.Errorf("wrong outcome: the receipt of %s has number %d, the row %d (0: there is none)", name, seq, rows[name])
		}
		if numbers[seq] {
			return fmt.Errorf("wrong outcome: number %d on two receipts", seq)
		}
		numbers[seq] = true
	}
	holders, err := s.World.Holders(ctx, plan.Coupon)
	if err == nil && holders != places {
		err = fmt.Errorf("wrong outcome: %d holders at the gate for %d places", holders, places)
	}
	return err
}
