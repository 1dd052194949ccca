package strategies

import "context"

// noControl reads, compares and inserts. Between the reading and the writing everybody else does the same.
type noControl struct{ Bench }

func (s noControl) Claim(ctx context.Context, user string) (Answer, error) {
	had, err := s.has(ctx, s.DB, user)
	if err != nil || had {
		return Got, err
	}
	var issued int64
	if err := s.DB.QueryRowContext(ctx, "SELECT issued FROM lab_coupons WHERE id = ?", s.Coupon).Scan(&issued); err != nil {
		return 0, err
	}
	if issued >= s.Cap {
		return SoldOut, nil
	}
	if _, err := s.DB.ExecContext(ctx, "UPDATE lab_coupons SET issued = ? WHERE id = ?", issued+1, s.Coupon); err != nil {
		return 0, err
	}
	return Got, s.Insert(ctx, s.DB, user)
}
