package strategies

import (
	"context"
	"database/sql"
	"sync"
)

// tickets takes numbers from the database a chunk at a time and gives them out from memory. Who crashes takes the rest of
// the chunk along.
type tickets struct {
	Bench
	mu    sync.Mutex
	left  int64
	empty bool // the database has none any more
}

// chunk is how many tickets are taken at a time.
const chunk = 100

func (s *tickets) Claim(ctx context.Context, user string) (Answer, error) {
	had, err := s.has(ctx, s.DB, user)
	if err != nil || had {
		return Got, err
	}
	took, err := s.take(ctx)
	if err != nil || !took {
		return SoldOut, err
	}
	return Got, s.Insert(ctx, s.DB, user)
}

func (s *tickets) take(ctx context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 && !s.empty {
		if err := s.refill(ctx); err != nil {
			return false, err
		}
	}
	if s.left == 0 {
		return false, nil
	}
	s.left--
	return true, nil
}

func (s *tickets) refill(ctx context.Context) error {
	_, err := s.inTx(ctx, func(tx *sql.Tx) (Answer, error) {
		var issued int64
		if err := tx.QueryRowContext(ctx, "SELECT issued FROM lab_coupons WHERE id = ? FOR UPDATE", s.Coupon).Scan(&issued); err != nil {
			return 0, err
		}
		s.left = min(chunk, s.Cap-issued)
		s.empty = s.left == 0
		_, err := tx.ExecContext(ctx, "UPDATE lab_coupons SET issued = issued + ? WHERE id = ?", s.left, s.Coupon)
		return Got, err
	})
	if err != nil {
		s.left = 0
	}
	return err
}
