package httpapi

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/firstcome/firstcome/api/internal/contract"
	"github.com/firstcome/firstcome/core/coupon"
)

// CreateVendor creates a vendor.
func (s *server) CreateVendor(c *gin.Context) {
	var req contract.VendorCreate
	_, err := s.decode(c, &req)
	if err == nil && !coupon.ValidName(req.Name) {
		err = badName()
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	id, err := s.Publisher.Vendor(c.Request.Context(), req.Name)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.answers.document(c, http.StatusCreated, contract.Vendor{Id: id, Name: req.Name})
}

// CreateEvent creates an event; its bounds are the publisher's to check.
func (s *server) CreateEvent(c *gin.Context) {
	var req contract.EventCreate
	if _, err := s.decode(c, &req); err != nil {
		s.fail(c, err)
		return
	}
	made, err := s.Publisher.Event(c.Request.Context(), coupon.Event{Name: req.Name, StartsAt: req.StartsAt, EndsAt: req.EndsAt})
	if err != nil {
		s.fail(c, err)
		return
	}
	s.answers.document(c, http.StatusCreated, contract.Event{
		Id: made.ID, Name: made.Name, StartsAt: made.StartsAt.UTC(), EndsAt: made.EndsAt.UTC(),
	})
}

// CreateCoupon publishes a coupon.
func (s *server) CreateCoupon(c *gin.Context) {
	var req contract.CouponCreate
	present, err := s.decode(c, &req, nullableOfCreate()...)
	if err != nil && present == nil { // no object at all
		s.fail(c, err)
		return
	}
	wanted, validErr := newCoupon(req)
	if err = keepFirst(err, validErr); err != nil {
		s.fail(c, err)
		return
	}
	ctx := c.Request.Context()
	made, err := s.Publisher.Coupon(ctx, wanted)
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Header("Location", "/v1/coupons/"+strconv.FormatInt(made.ID, 10))
	s.answers.document(c, http.StatusCreated, s.shown(ctx, []coupon.Coupon{made})[0])
}

// nullableOfCreate are the fields whose null means the same as leaving them out; a test compares them with the document.
func nullableOfCreate() []string {
	return []string{"event_id", "total_quantity", "discount_type", "discount_value", "valid_for_days", "max_uses"}
}

// newCoupon is the coupon that was asked for, without an id, and what is wrong with it. A zero that was written out is
// wrong where leaving the field out is not.
func newCoupon(req contract.CouponCreate) (coupon.Coupon, error) {
	c := coupon.Coupon{
		VendorID: req.VendorId, EventID: or(req.EventId, 0), Name: req.Name,
		Kind: coupon.Kind(or(req.Kind, contract.FirstComeIssue)),
		Terms: coupon.Terms{
			Total: req.TotalQuantity, State: coupon.StateOpen, OpensAt: req.OpensAt, ClosesAt: req.ClosesAt,
		},
		PerUserLimit:   or(req.PerUserLimit, 1),
		DiscountType:   coupon.DiscountType(or(req.DiscountType, "")),
		DiscountValue:  or(req.DiscountValue, 0),
		MinOrderAmount: or(req.MinOrderAmount, 0),
		Stackable:      or(req.Stackable, false),
		ValidForDays:   or(req.ValidForDays, 0),
		MaxUses:        req.MaxUses,
	}
	err := c.Validate()
	for _, f := range []struct {
		name    string
		written bool
	}{
		{"event_id", req.EventId != nil && *req.EventId == 0},
		{"valid_for_days", req.ValidForDays != nil && *req.ValidForDays == 0},
		{"discount_type", req.DiscountType != nil && *req.DiscountType == ""},
		{"discount_value", req.DiscountValue != nil && *req.DiscountValue == 0},
	} {
		if f.written {
			err = keepFirst(err, fieldError(f.name, "must not be zero or empty; leave it out for none"))
		}
	}
	return c, err
}

func badName() *coupon.FieldError {
	return fieldError("name", "must have 1 to %d characters and no control characters", coupon.MaxName)
}

// or is the value, or another one where it was left out.
func or[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}
