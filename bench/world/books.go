package world

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// Rows are the numbers on a coupon's rows, by user.
func (w *World) Rows(ctx context.Context, coupon int64) (map[string]int64, error) {
	numbers := map[string]int64{}
	err := w.each(ctx, func(rows *sql.Rows) error {
		var user string
		var seq int64
		if err := rows.Scan(&user, &seq); err != nil {
			return err
		}
		if numbers[user] != 0 {
			return fmt.Errorf("wrong outcome: two rows of %s", user)
		}
		numbers[user] = seq
		return nil
	}, "SELECT user_id, seq FROM issues WHERE coupon_id = ?", coupon)
	return numbers, err
}

// Delays are the times from accepted to issued of a coupon's rows in milliseconds, in ascending order.
func (w *World) Delays(ctx context.Context, coupon int64) ([]float64, error) {
	var delays []float64
	err := w.each(ctx, func(rows *sql.Rows) error {
		var micros float64
		err := rows.Scan(&micros)
		delays = append(delays, micros/1000)
		return err
	}, "SELECT TIMESTAMPDIFF(MICROSECOND, accepted_at, issued_at) FROM issues WHERE coupon_id = ?", coupon)
	slices.Sort(delays)
	if err == nil && len(delays) == 0 {
		err = fmt.Errorf("no row of coupon %d", coupon)
	}
	return delays, err
}

func (w *World) each(ctx context.Context, row func(*sql.Rows) error, query string, args ...any) (err error) {
	found, err := w.DB.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		if err := row(found); err != nil {
			return err
		}
	}
	return found.Err()
}

// Issued is how many rows a coupon has by its own counter.
func (w *World) Issued(ctx context.Context, coupon int64) (n int64, err error) {
	err = w.DB.QueryRowContext(ctx, "SELECT issued_count FROM coupons WHERE id = ?", coupon).Scan(&n)
	return n, err
}

// Forget empties the table of issues, so that each round writes into one of the same size. Nobody writes meanwhile, and the
// coupons of the rounds before are not looked at any more.
func (w *World) Forget(ctx context.Context) error {
	_, err := w.DB.ExecContext(ctx, "TRUNCATE TABLE issues")
	return err
}

// LabCoupon makes the laboratory's tables and a coupon in them.
func (w *World) LabCoupon(ctx context.Context, schema string, id, places int64) error {
	db, err := sql.Open("mysql", w.DSN+"?multiStatements=true")
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, schema)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	_, err = w.DB.ExecContext(ctx, "INSERT INTO lab_coupons (id, total) VALUES (?, ?)", id, places)
	return err
}

// LabRows is how many different users have a row of the laboratory's coupon.
func (w *World) LabRows(ctx context.Context, id int64) (n int64, err error) {
	err = w.DB.QueryRowContext(ctx, "SELECT COUNT(DISTINCT user_id) FROM lab_issues WHERE coupon_id = ?", id).Scan(&n)
	return n, err
}
