package world

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Rows are the numbers on a coupon's rows, by user.
func (w *World) Rows(ctx context.Context, coupon int64) (_ map[string]int64, err error) {
	found, err := w.DB.QueryContext(ctx, "SELECT user_id, seq FROM issues WHERE coupon_id = ?", coupon)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	rows := map[string]int64{}
	for found.Next() {
		var user string
		var seq int64
		if err := found.Scan(&user, &seq); err != nil {
			return nil, err
		}
		if rows[user] != 0 {
			return nil, fmt.Errorf("wrong outcome: two rows of %s", user)
		}
		rows[user] = seq
	}
	return rows, found.Err()
}

// Holders is how many users have a place at a coupon of no event, as the gate in Redis has them.
func (w *World) Holders(ctx context.Context, coupon int64) (int64, error) {
	return w.Redis.HLen(ctx, fmt.Sprintf("fc:{c%d}:holders:%d", coupon, coupon)).Result()
}

// StartEmpty starts this program once more as the empty handler.
func (w *World) StartEmpty(ctx context.Context) (*Role, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	return w.Serve(ctx, "empty handler", addr, "http://"+addr+"/readyz", self, "empty", addr)
}
