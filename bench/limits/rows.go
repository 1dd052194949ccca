package limits

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
)

// rowsTogether is how many rows a statement has: what the consumer puts into one transaction at most.
const rowsTogether = 1000

// Insert writes a row for each place into the product's own table of issues, a thousand in a statement and a transaction,
// over some connections, and nothing else. It returns how long that took. The statements' texts are made beforehand.
func Insert(ctx context.Context, db *sql.DB, places []coupon.Place, connections int) (time.Duration, error) {
	var statements []string
	for part := range slices.Chunk(places, rowsTogether) {
		statements = append(statements, statement(part))
	}
	errs := make(chan error, connections)
	var all sync.WaitGroup
	began := time.Now()
	for c := range connections {
		all.Go(func() {
			for i := c; i < len(statements); i += connections {
				if _, err := db.ExecContext(ctx, statements[i]); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	close(errs)
	return took, <-errs
}

func statement(places []coupon.Place) string {
	const instant = "2006-01-02 15:04:05.000000"
	var b strings.Builder
	b.WriteString("INSERT INTO issues (coupon_id, nth, seq, epoch, event_id, accepted_at, issued_at, expires_at, status, user_id, idempotency_key) VALUES ")
	for i, p := range places {
		if i > 0 {
			b.WriteByte(',')
		}
		at := p.AcceptedAt.UTC().Format(instant)
		fmt.Fprintf(&b, "(%d,%d,%d,%d,NULL,'%s','%s',NULL,'issued','%s',NULL)", p.CouponID, p.Nth, p.Seq, p.Epoch, at, at, p.UserID)
	}
	return b.String()
}
