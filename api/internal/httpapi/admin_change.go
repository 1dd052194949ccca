package httpapi

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/firstcome/firstcome/api/internal/contract"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/publish"
)

// totalField is the one field whose null and whose absence are different wishes.
const totalField = "total_quantity"

// ChangeCoupon changes a coupon's terms while it runs.
func (s *server) ChangeCoupon(c *gin.Context, id contract.CouponID) {
	var req contract.CouponChange
	present, err := s.decode(c, &req, totalField)
	if err != nil && present == nil { // no object at all
		s.fail(c, err)
		return
	}
	if err = keepFirst(err, checkChange(req, present)); err != nil {
		s.fail(c, err)
		return
	}
	change := publish.ChangeRequest{
		OpensAt: req.OpensAt, ClosesAt: req.ClosesAt, Reason: req.Reason, By: exchangeOf(c).user.ID,
	}
	if present[totalField] {
		change.Total = &req.TotalQuantity
	}
	if req.State != nil {
		state := coupon.State(*req.State)
		change.State = &state
	}
	ctx := c.Request.Context()
	changed, err := s.Publisher.Change(ctx, id, change)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.answers.document(c, http.StatusOK, s.shown(ctx, []coupon.Coupon{changed})[0])
}

// checkChange checks what can be checked without the coupon: each field by itself. The publisher checks the terms that
// come out.
func checkChange(req contract.CouponChange, present map[string]bool) error {
	terms := coupon.Terms{
		Total: req.TotalQuantity, State: coupon.State(or(req.State, contract.CouponSetStateOpen)),
		OpensAt: or(req.OpensAt, firstInstant()), ClosesAt: or(req.ClosesAt, lastInstant()),
	}
	err := terms.Validate()
	if present["reason"] {
		if f := checkText("reason", req.Reason, coupon.MaxReason); f != nil {
			err = keepFirst(err, f)
		}
	}
	if len(present) == 1 && present["reason"] {
		err = keepFirst(err, fieldError(bodyField, "must have at least one of total_quantity, state, opens_at and closes_at"))
	}
	return err
}

// firstInstant and lastInstant are the ends of what a window may be.
func firstInstant() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

func lastInstant() time.Time { return time.UnixMicro(maxMicros).UTC() }
