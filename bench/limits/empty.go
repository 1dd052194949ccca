// Package limits measures what firstcome stands on, each alone: an HTTP handler that does nothing, Redis with the
// admission script, Kafka with the records, the database with the rows.
package limits

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// EmptySubcommand of the harness' own program that calls ServeEmpty.
const EmptySubcommand = "empty"

// RefusingCoupon is the id whose claims the empty handler answers with the bytes of a refusal.
const RefusingCoupon = 409

// ServeEmpty is what claims are compared with: the same router, method and path, and a handler that looks at nothing and
// answers a receipt's bytes; for RefusingCoupon those of a refusal, with the header that the contract wants.
func ServeEmpty(addr string) error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	receipt := []byte(`{"coupon_id":123456789012,"user_id":"b00000001","nth":1,"seq":57,"status":"accepted","accepted_at":"2026-11-20T12:00:00.000123Z"}`)
	refusal := []byte(`{"type":"urn:firstcome:problem:sold_out","title":"Sold out","status":409,"code":"sold_out",` +
		`"detail":"All places of this coupon are taken.","detail_ko":"쿠폰이 모두 소진되었습니다.",` +
		`"server_time":"2026-11-20T12:00:00.000123Z","request_id":"b5cf1f2f6a1c9d3e"}`)
	refusing := strconv.Itoa(RefusingCoupon)
	engine.POST("/v1/coupons/:id/issues", func(c *gin.Context) {
		if c.Param("id") == refusing {
			c.Header("X-Content-Type-Options", "nosniff")
			c.Header("Cache-Control", "no-store")
			c.Header("X-Request-Id", "b5cf1f2f6a1c9d3e")
			c.Data(http.StatusConflict, "application/problem+json", refusal)
			return
		}
		c.Data(http.StatusAccepted, "application/json", receipt)
	})
	engine.GET("/readyz", func(c *gin.Context) { c.Status(http.StatusOK) })
	server := &http.Server{Addr: addr, Handler: engine, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}
