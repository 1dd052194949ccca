package strategies

import (
	"context"
	"database/sql"
)

// rowLock lets the database hold the coupon's row for one transaction at a time.
type rowLock struct{ Bench }

func (s rowLock) Claim(ctx context.Context, user string) (Answer, error) {
	return s.inTx(ctx, func(tx *sql.Tx) (Answer, error) {
		var issued int64
		if err := tx.QueryRowContext(ctx, "SELECT issued FROM lab_coupons WHERE id = ? FOR UPDATE", s.Coupon).Scan(&issued); err != nil {
			return 0, err
		}
		had, err := s.has(ctx, tx, user)
		switch {
		case err != nil || had:
			return Got, err
		case issued >= s.Cap:
			return SoldOut, nil
		}
		if _, err := tx.ExecContext(ctx, "UPDATE lab_coupons SET issued = issued + 1 WHERE id = ?", s.Coupon); err != nil {
			return 0, err
		}
		return Got, s.Insert(ctx, tx, user)
	})
}
