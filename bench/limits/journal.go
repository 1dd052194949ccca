package limits

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

// Append puts a record for each place on the journal, so many at the same time, each waiting for its acknowledgement by
// all in-sync replicas, and returns how long that took.
func Append(ctx context.Context, j *kafkajournal.Journal, places []coupon.Place, together int) (time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range together {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(places) {
					return
				}
				if err := j.Append(ctx, places[i]); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return time.Since(began), context.Cause(ctx)
}
