package httpapi

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/firstcome/firstcome/api/internal/contract"
	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/support/crashpoint"
)

// ClaimCoupon is the hot path: nothing here allocates per field, logs, or asks anything but the desk.
func (s *server) ClaimCoupon(c *gin.Context, id contract.CouponID, params contract.ClaimCouponParams) {
	x := exchangeOf(c)
	if err := decodeNothing(c.Request); err != nil {
		s.fail(c, err)
		return
	}
	if s.rates != nil && !s.rates.allow(x.user.ID, s.Now()) {
		s.answers.problem(c, problem{code: coupon.CodeRateLimited})
		return
	}
	var key string
	if params.IdempotencyKey != nil {
		key = *params.IdempotencyKey
	}
	crashpoint.At("claim.read")
	out, err := s.Claims.Claim(c.Request.Context(), id, x.user.ID, key)
	switch {
	case err != nil:
		s.fail(c, err)
	case !out.Verdict.Place():
		s.answers.problem(c, refusal(out))
	default:
		status := http.StatusAccepted
		if out.Again {
			status = http.StatusOK
		}
		x.buf = appendReceipt(x.buf[:0], out.Place)
		s.answers.buffer(x, status)
		if crashpoint.On {
			x.Flush()
		}
		crashpoint.At("claim.answered")
	}
}

// refusal is a gate's "no", told by the gate's clock. A verdict that is no refusal either is a fault of ours.
func refusal(out admission.Outcome) problem {
	p := problem{code: out.Verdict.Code(), now: out.Now}
	if out.Verdict == coupon.NotOpen {
		p.opensAt = out.OpensAt
	}
	return p
}

// appendReceipt appends the receipt of a place, the same bytes for the same place. A valid user id needs no escaping.
func appendReceipt(b []byte, p coupon.Place) []byte {
	b = strconv.AppendInt(append(b, `{"coupon_id":`...), p.CouponID, 10)
	b = append(append(b, `,"user_id":"`...), p.UserID...)
	b = strconv.AppendInt(append(b, `","nth":`...), int64(p.Nth), 10)
	b = strconv.AppendInt(append(b, `,"seq":`...), p.Seq, 10)
	b = appendTime(append(b, `,"status":"accepted","accepted_at":"`...), p.AcceptedAt)
	return append(b, `"}`...)
}
