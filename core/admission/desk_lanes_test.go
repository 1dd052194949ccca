package admission_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
)

// Of two servers one stops: claims of the gates on the other one are answered as if nothing were.
func TestAServerThatSleepsHoldsUpItsOwnGatesOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.close() // in its place one that knows two servers
		s.desk = admission.NewDesk(admission.DeskDeps{
			Gate: sleepy{s.gate}, Journal: s.journal, Sender: s.journal, Refs: s.book, OnUnsound: s.onUnsound,
			Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
			Lane: func(tag string) int { return map[string]int{"c7": 16, "c8": 17}[tag] }, // more servers than lanes
		})
		s.publish(sale(7, 0))
		s.publish(sale(8, 0))
		var all sync.WaitGroup
		for _, user := range []string{"a", "b", "c"} {
			all.Go(func() {
				_, err := s.desk.Claim(t.Context(), 7, user, "")
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			})
			synctest.Wait()
			began := time.Now()
			out, err := s.desk.Claim(t.Context(), 8, user, "")
			require.NoError(t, err)
			require.True(t, out.Verdict.Place())
			require.Zero(t, time.Since(began))
		}
		all.Wait()
		s.close()
	})
}

// sleepy is a gate whose server of coupon 7 does not answer.
type sleepy struct{ *tap }

func (g sleepy) Admit(ctx context.Context, calls []admission.Call) []admission.Answer {
	for _, c := range calls {
		if c.Ref.CouponID == 7 {
			<-ctx.Done()
		}
	}
	return g.tap.Admit(ctx, calls)
}
