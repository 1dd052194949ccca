// Package limits measures what firstcome stands on, each alone: an HTTP handler that does nothing, Redis with the
// admission script, Kafka with the records, the database with the rows.
package limits

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// EmptySubcommand of the harness' own program that calls ServeEmpty.
const EmptySubcommand = "empty"

// ServeEmpty is what claims are compared with: the same router, method and path, and a handler that looks at nothing and
// answers a receipt's bytes.
func ServeEmpty(addr string) error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	receipt := []byte(`{"coupon_id":123456789012,"user_id":"b00000001","nth":1,"seq":57,"status":"accepted","accepted_at":"2026-11-20T12:00:00.000123Z"}`)
	engine.POST("/v1/coupons/:id/issues", func(c *gin.Context) {
		c.Data(http.StatusAccepted, "application/json", receipt)
	})
	engine.GET("/readyz", func(c *gin.Context) { c.Status(http.StatusOK) })
	server := &http.Server{Addr: addr, Handler: engine, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}
