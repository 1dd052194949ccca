package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/firstcome/firstcome/core/coupon"
)

// liveRefs lists the coupons on sale by id; see ledger.Refs.
type liveRefs interface {
	LiveRefs(ctx context.Context, afterID int64, limit int) ([]coupon.Ref, error)
}

// soundness tells of each coupon whether its gate is sound: nil, a coupon.UnsoundError, or an unknown outcome.
type soundness interface {
	Sound(ctx context.Context, refs []coupon.Ref) []error
}

// lookPage is how many coupons one look asks about: one pipeline of about 10 ms of the gate's time.
const lookPage = 500

// found is what a walk over the live coupons came to.
type found struct {
	tags    []string // in the order of their first coupon
	asked   int      // coupons
	unknown int      // coupons whose gates could not be asked
	lastErr error    // of the last of them
}

// look walks over the live coupons of the wanted tags (nil: all) and finds the tags whose gate is not sound; with
// alsoSound, all.
func look(ctx context.Context, live liveRefs, gates soundness, wanted map[string]bool, alsoSound bool) (found, error) {
	var f found
	seen := map[string]bool{}
	for after := int64(0); ; {
		refs, err := live.LiveRefs(ctx, after, lookPage)
		if err != nil {
			return found{}, fmt.Errorf("list the coupons: %w", err)
		}
		if len(refs) == 0 {
			return f, nil
		}
		after = refs[len(refs)-1].CouponID
		refs = slices.DeleteFunc(refs, func(ref coupon.Ref) bool { return wanted != nil && !wanted[ref.Tag] })
		f.asked += len(refs)
		for i, why := range gates.Sound(ctx, refs) {
			if joinedSince(why) {
				why = again(ctx, live, gates, refs[i].CouponID)
			}
			switch tag := refs[i].Tag; {
			case (alsoSound || errors.Is(why, coupon.ErrUnsound)) && !seen[tag]:
				seen[tag] = true
				f.tags = append(f.tags, tag)
			case why != nil && !errors.Is(why, coupon.ErrUnsound):
				f.unknown++
				f.lastErr = why
			}
		}
		if ctx.Err() != nil {
			return found{}, ctx.Err()
		}
	}
}

// joinedSince says whether the gate may only have been asked with an old list of the event's coupons.
func joinedSince(err error) bool {
	var unsound *coupon.UnsoundError
	return errors.As(err, &unsound) && unsound.Why == coupon.WhyCoupons
}

// again asks with a fresh list; nil when the coupon is not on sale any more.
func again(ctx context.Context, live liveRefs, gates soundness, couponID int64) error {
	refs, err := live.LiveRefs(ctx, couponID-1, 1)
	if err != nil || len(refs) == 0 || refs[0].CouponID != couponID {
		return err
	}
	return gates.Sound(ctx, refs)[0]
}
