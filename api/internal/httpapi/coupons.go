package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/firstcome/firstcome/api/internal/contract"
	"github.com/firstcome/firstcome/core/coupon"
)

// ListCoupons answers a page of coupons with one call to the ledger and one to the gates.
func (s *server) ListCoupons(c *gin.Context, params contract.ListCouponsParams) {
	after, err := afterID(couponsCursor, params.Cursor)
	if err != nil {
		s.fail(c, err)
		return
	}
	ctx, limit := c.Request.Context(), limitOf(params.Limit)
	coupons, err := s.Coupons.Coupons(ctx, after, limit+1)
	if err != nil {
		s.fail(c, err)
		return
	}
	coupons, more := page(coupons, limit)
	answer := contract.CouponPage{Items: s.shown(ctx, coupons)}
	if more {
		next := encodeCursor(couponsCursor, coupons[len(coupons)-1].ID)
		answer.NextCursor = &next
	}
	s.answers.document(c, http.StatusOK, answer)
}

// GetCoupon answers one coupon.
func (s *server) GetCoupon(c *gin.Context, id contract.CouponID) {
	ctx := c.Request.Context()
	found, err := s.Coupons.Coupon(ctx, id)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.answers.document(c, http.StatusOK, s.shown(ctx, []coupon.Coupon{found})[0])
}

// GetOpenAPI answers the document itself.
func (s *server) GetOpenAPI(c *gin.Context) {
	c.Data(http.StatusOK, "application/yaml", s.Document)
}

// shown says of each coupon how it stands now: by its gate where that answers, else by the ledger, whose count is behind
// by what is on its way through the journal.
func (s *server) shown(ctx context.Context, coupons []coupon.Coupon) []contract.Coupon {
	docs := make([]contract.Coupon, len(coupons))
	views := s.views(ctx, coupons)
	for i, c := range coupons {
		if v := views[i]; v.Err == nil {
			docs[i] = couponDocument(c, v.View.Terms, v.View.Taken, v.View.Now)
		} else {
			docs[i] = couponDocument(c, c.Terms, c.IssuedCount, s.Now())
		}
	}
	return docs
}

// views asks the gates once for all, and a second time for those that only missed coupons that have joined an event
// since we looked.
func (s *server) views(ctx context.Context, coupons []coupon.Coupon) []coupon.ViewAnswer {
	refs := make([]coupon.Ref, len(coupons))
	answers := make([]coupon.ViewAnswer, len(coupons))
	var ask []int
	for i, c := range coupons {
		if c.EventID == 0 { // nobody else is in its gate
			refs[i] = c.Ref([]int64{c.ID})
		} else if refs[i], answers[i].Err = s.Refs.Ref(ctx, c.ID); answers[i].Err != nil {
			continue
		}
		ask = append(ask, i)
	}
	s.look(ctx, refs, answers, ask)
	var again []int
	for _, i := range ask {
		var unsound *coupon.UnsoundError
		switch {
		case !errors.As(answers[i].Err, &unsound):
		case unsound.Why == coupon.WhyCoupons:
			if fresh, err := s.Refs.Refresh(ctx, coupons[i].ID); err == nil {
				refs[i] = fresh
				again = append(again, i)
			}
		default:
			s.OnUnsound(*unsound)
		}
	}
	s.look(ctx, refs, answers, again)
	return answers
}

func (s *server) look(ctx context.Context, refs []coupon.Ref, answers []coupon.ViewAnswer, of []int) {
	if len(of) == 0 {
		return
	}
	ask := make([]coupon.Ref, len(of))
	for n, i := range of {
		ask[n] = refs[i]
	}
	for n, answer := range s.Gate.Views(ctx, ask) {
		answers[of[n]] = answer
	}
}

// couponDocument tells of a coupon; what remains and how it stands by the terms that decide, at an instant, with so many
// places taken.
func couponDocument(c coupon.Coupon, deciding coupon.Terms, taken int64, now time.Time) contract.Coupon {
	return contract.Coupon{
		Id: c.ID, Name: c.Name, VendorId: c.VendorID, EventId: unlessZero(c.EventID),
		Kind:          contract.CouponKind(c.Kind),
		TotalQuantity: c.Total, Remaining: deciding.Remaining(taken),
		PerUserLimit: c.PerUserLimit,
		OpensAt:      c.OpensAt.UTC(), ClosesAt: c.ClosesAt.UTC(),
		State:        contract.CouponShownState(deciding.Shown(now, taken)),
		DiscountType: unlessZero(string(c.DiscountType)), DiscountValue: unlessZero(c.DiscountValue),
		MinOrderAmount: c.MinOrderAmount, Stackable: c.Stackable,
		ValidForDays: unlessZero(c.ValidForDays), MaxUses: c.MaxUses,
		CreatedAt: c.CreatedAt.UTC(), ServerTime: now.UTC().Truncate(time.Microsecond),
	}
}

// unlessZero is nil for the zero value, which stands for "none" inside.
func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
