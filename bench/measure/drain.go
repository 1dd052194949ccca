package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/bench/limits"
	"github.com/firstcome/firstcome/bench/report"
)

// drainSize is how many records a full topic has.
func (s *Suite) drainSize() int {
	if s.Quick {
		return 20_000
	}
	return 60_000
}

// drain fills the topic while no consumer runs, starts one and takes the time from its first row to the last: joining the
// group is no part of writing rows.
func (s *Suite) drain(ctx context.Context) error {
	n := s.drainSize()
	id, err := s.World.Publish(ctx, nil)
	if err != nil {
		return err
	}
	if err = s.consumer.Stop(ctx); err != nil {
		return err
	}
	j, err := s.journal(s.World.Topic)
	if err != nil {
		return err
	}
	_, err = limits.Append(ctx, j, placesOf(id, n), together)
	if err = errors.Join(err, j.Close(ctx)); err != nil {
		return err
	}
	if s.consumer, err = s.World.Start(ctx, "consumer"); err != nil {
		return err
	}
	started := time.Now()
	if err = s.untilIssued(ctx, id, 1); err != nil {
		return err
	}
	var first int64
	if err = s.World.DB.QueryRowContext(ctx, "SELECT issued_count FROM coupons WHERE id = ?", id).Scan(&first); err != nil {
		return err
	}
	began := time.Now()
	if err = s.untilIssued(ctx, id, int64(n)); err != nil {
		return err
	}
	took := time.Since(began)
	rows, err := s.World.Rows(ctx, id)
	if err != nil {
		return err
	}
	if len(rows) != n {
		return fmt.Errorf("wrong outcome: %d rows of %d records", len(rows), n)
	}
	s.Report.Add("drain", "a full topic into the database, one consumer, from its first row on", perSecond, report.Sample{
		Value: float64(int64(n)-first) / took.Seconds(),
		Notes: map[string]float64{"ms from ready to the first row": float64(began.Sub(started).Milliseconds())},
	})
	return nil
}
