package redisgate

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// Bounds of loading (rule 24).
const (
	// maxLoad bounds the holders of one call: at two arguments each it stays far below the 8,000 values that Lua can
	// unpack, and a call holds Redis up for about half a millisecond.
	maxLoad = 500
	// loadTTL is how long private keys outlive their last call, where the attempt ended without a chance to drop them. A
	// rebuild that leaves a coupon alone for longer between loading and opening finds its keys gone, and starts over.
	loadTTL = time.Hour
)

// LoadRows puts holders that are rows of the ledger into the mark's private keys; rows come before LoadTail's records.
// ErrOvertaken when the gate is no longer marked by this attempt.
func (g *Gate) LoadRows(ctx context.Context, m coupon.Mark, ref coupon.Ref, rows []coupon.Place) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	k := keysOf(ref.Tag)
	keys := []string{k.gate(), k.loadHolders(m, ref.CouponID)}
	if ref.Member {
		keys = append(keys, k.loadMembers(m))
	}
	calls := make([]*call, 0, len(rows)/maxLoad+1)
	for start := 0; start < len(rows); start += maxLoad {
		args := []any{m.Epoch, m.Token, loadTTL.Milliseconds()}
		for _, p := range rows[start:min(start+maxLoad, len(rows))] {
			args = append(args, fieldOf(p.UserID, p.Nth, ref.PerUserLimit), formatHeld(p))
		}
		calls = append(calls, &call{script: g.scripts.loadRows, tag: ref.Tag, keys: keys, args: args})
	}
	g.run(ctx, calls)
	errs := make([]error, len(calls))
	for i, c := range calls {
		errs[i] = c.err
	}
	return errors.Join(errs...)
}

// LoadTail adds places of the journal, in its order, to the mark's private keys: rows and earlier records win, in an event
// also those of its other coupons. It returns how many were added. Revoked is not looked at: the journal does not know
// it. After an error the count is not known, and the caller starts over. ErrOvertaken as for LoadRows.
func (g *Gate) LoadTail(ctx context.Context, m coupon.Mark, ref coupon.Ref, places []coupon.Place) (int64, error) {
	if err := checkRef(ref); err != nil {
		return 0, err
	}
	k := keysOf(ref.Tag)
	keys := []string{k.gate(), k.loadCalls(m), k.loadHolders(m, ref.CouponID)}
	if ref.Member {
		keys = append(keys, k.loadMembers(m))
	}
	calls := make([]*call, 0, len(places)/maxLoad+1)
	for start := 0; start < len(places); start += maxLoad {
		args := []any{m.Epoch, m.Token, loadTTL.Milliseconds(), rand.Text()}
		for _, p := range places[start:min(start+maxLoad, len(places))] {
			p.Revoked = false
			args = append(args, fieldOf(p.UserID, p.Nth, ref.PerUserLimit), formatHeld(p))
		}
		calls = append(calls, &call{script: g.scripts.loadTail, tag: ref.Tag, keys: keys, args: args})
	}
	g.run(ctx, calls)
	var added int64
	for _, c := range calls {
		count, ok := c.ints(1)
		if c.err == nil && !ok {
			c.fail(errGarbled)
		}
		if c.err != nil {
			return 0, c.err
		}
		added += count[0]
	}
	return added, nil
}

// Drop removes what was loaded for these coupons of the mark's tag. Whoever has given up an attempt calls it: a million
// holders are 90 MB, and the next attempt loads them beside it.
func (g *Gate) Drop(ctx context.Context, m coupon.Mark, coupons []int64) error {
	k := keysOf(m.Tag)
	keys := make([]string, 0, 2+len(coupons))
	keys = append(keys, k.loadMembers(m), k.loadCalls(m))
	for _, id := range coupons {
		keys = append(keys, k.loadHolders(m, id))
	}
	c := &call{script: g.scripts.drop, tag: m.Tag, keys: keys}
	g.run(ctx, []*call{c})
	return c.err
}
