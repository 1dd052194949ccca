package batch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/firstcome/firstcome/core/coupon"
)

// liveRefs lists the coupons on sale by id; see ledger.Refs.
type liveRefs interface {
	LiveRefs(ctx context.Context, afterID int64, limit int) ([]coupon.Ref, error)
}

// viewer tells what each coupon's gate says: its view, a coupon.UnsoundError, or an unknown outcome.
type viewer interface {
	Views(ctx context.Context, refs []coupon.Ref) []coupon.ViewAnswer
}

// fences tells the epochs that the database is at.
type fences interface {
	Epochs(ctx context.Context, tags []string) (map[string]int64, error)
}

// looker finds the gates that need a rebuild.
type looker struct {
	live   liveRefs
	gates  viewer
	fences fences
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

// look walks over the live coupons of the wanted tags (nil: all) and finds the tags whose gate is not sound, or sound and
// behind the database's epoch: a rebuild took the epoch and stopped before its mark, and until another one marks the gate
// no change and no new coupon can follow it. With alsoSound, all tags.
func (l looker) look(ctx context.Context, wanted map[string]bool, alsoSound bool) (found, error) {
	var f found
	seen := map[string]bool{}
	for after := int64(0); ; {
		refs, err := l.live.LiveRefs(ctx, after, lookPage)
		if err != nil {
			return found{}, fmt.Errorf("list the coupons: %w", err)
		}
		if len(refs) == 0 {
			return f, nil
		}
		after = refs[len(refs)-1].CouponID
		refs = slices.DeleteFunc(refs, func(ref coupon.Ref) bool { return wanted != nil && !wanted[ref.Tag] })
		f.asked += len(refs)
		answers, err := l.page(ctx, refs)
		if err != nil {
			return found{}, err
		}
		for i, why := range answers {
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

// page says of each coupon why its gate needs a rebuild; nil: it does not. The epochs are read first: a gate that is
// rebuilt in between is ahead of them, and not taken for one that is behind.
func (l looker) page(ctx context.Context, refs []coupon.Ref) ([]error, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	tags := make([]string, len(refs))
	for i, ref := range refs {
		tags[i] = ref.Tag
	}
	slices.Sort(tags)
	epochs, err := l.fences.Epochs(ctx, slices.Compact(tags))
	if err != nil {
		return nil, fmt.Errorf("look for the epochs: %w", err)
	}
	whys := make([]error, len(refs))
	for i, answer := range l.gates.Views(ctx, refs) {
		if joinedSince(answer.Err) {
			answer = l.again(ctx, refs[i].CouponID)
		}
		whys[i] = answer.Err
		if answer.Err == nil && answer.View.Epoch < epochs[refs[i].Tag] {
			whys[i] = &coupon.UnsoundError{Tag: refs[i].Tag, Why: coupon.WhyBehind}
		}
	}
	return whys, nil
}

// joinedSince says whether the gate may only have been asked with an old list of the event's coupons.
func joinedSince(err error) bool {
	var unsound *coupon.UnsoundError
	return errors.As(err, &unsound) && unsound.Why == coupon.WhyCoupons
}

// again asks with a fresh list. A coupon that is not on sale any more needs no rebuild: whatever its gate's epoch is, it
// is not behind.
func (l looker) again(ctx context.Context, couponID int64) coupon.ViewAnswer {
	refs, err := l.live.LiveRefs(ctx, couponID-1, 1)
	switch {
	case err != nil:
		return coupon.ViewAnswer{Err: err}
	case len(refs) == 0 || refs[0].CouponID != couponID:
		return coupon.ViewAnswer{View: coupon.View{Epoch: math.MaxInt64}}
	}
	return l.gates.Views(ctx, refs)[0]
}
