package strategies

import (
	"context"
	"database/sql"
	"errors"
)

// optimistic reads a version and writes if nobody wrote meanwhile, else it reads again.
type optimistic struct{ Bench }

// optimisticTries bounds how often a claim that lost reads again.
const optimisticTries = 50

// errLost: somebody else wrote first.
var errLost = errors.New("somebody else was faster")

func (s optimistic) Claim(ctx context.Context, user string) (Answer, error) {
	for range optimisticTries {
		answer, err := s.try(ctx, user)
		if !errors.Is(err, errLost) {
			return answer, err
		}
	}
	return 0, errGaveUp
}

func (s optimistic) try(ctx context.Context, user string) (Answer, error) {
	var issued, version int64
	err := s.DB.QueryRowContext(ctx, "SELECT issued, version FROM lab_coupons WHERE id = ?", s.Coupon).Scan(&issued, &version)
	if err != nil {
		return 0, err
	}
	had, err := s.has(ctx, s.DB, user)
	switch {
	case err != nil || had:
		return Got, err
	case issued >= s.Cap:
		return SoldOut, nil
	}
	return s.inTx(ctx, func(tx *sql.Tx) (Answer, error) {
		done, err := tx.ExecContext(ctx, "UPDATE lab_coupons SET issued = issued + 1, version = version + 1 WHERE id = ? AND version = ?",
			s.Coupon, version)
		if err != nil {
			return 0, err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return 0, errors.Join(err, errLost)
		}
		return Got, s.Insert(ctx, tx, user)
	})
}
