package admission_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/admission/memgate"
	"github.com/firstcome/firstcome/core/coupon"
)

// nowhere acknowledges at once and keeps nothing.
type nowhere struct{}

func (nowhere) Append(context.Context, coupon.Place) error { return nil }

// distant is a gate at the other end of a round trip, so that groups form as they do in front of Redis.
type distant struct{ admission.Gate }

const roundTrip = 200 * time.Microsecond

func (g distant) Admit(ctx context.Context, calls []admission.Call) []admission.Answer {
	<-time.After(roundTrip)
	return g.Gate.Admit(ctx, calls)
}

func (g distant) Confirm(ctx context.Context, calls []admission.ConfirmCall) []admission.ConfirmAnswer {
	<-time.After(roundTrip)
	return g.Gate.Confirm(ctx, calls)
}

// benchmarkClaims lets 128 callers a processor claim; user names each claim.
func benchmarkClaims(b *testing.B, total int64, prepare func(*admission.Desk), user func(n int64) string) {
	s := &shop{
		t: b, mem: memgate.New(memgate.Options{Now: time.Now}),
		book: &book{remembered: map[int64]coupon.Ref{}, rows: map[int64]coupon.Ref{}},
	}
	desk := admission.NewDesk(admission.DeskDeps{
		Gate: distant{s.mem}, Journal: nowhere{}, Refs: s.book, OnUnsound: s.onUnsound,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	defer func() {
		if err := desk.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	s.publish(sale(7, total))
	if prepare != nil {
		prepare(desk)
	}
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := desk.Claim(b.Context(), 7, user(n.Add(1)), ""); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func differentUsers(n int64) string { return "u" + strconv.FormatInt(n, 10) }

// BenchmarkClaimAccepted: a new place each, through journal and confirmation.
func BenchmarkClaimAccepted(b *testing.B) { benchmarkClaims(b, 0, nil, differentUsers) }

// BenchmarkClaimSoldOut: a refusal each.
func BenchmarkClaimSoldOut(b *testing.B) {
	benchmarkClaims(b, 1, func(d *admission.Desk) {
		if _, err := d.Claim(b.Context(), 7, "winner", ""); err != nil {
			b.Fatal(err)
		}
	}, differentUsers)
}

// BenchmarkClaimAgain: a settled holder each.
func BenchmarkClaimAgain(b *testing.B) {
	benchmarkClaims(b, 1, func(d *admission.Desk) {
		if _, err := d.Claim(b.Context(), 7, "winner", ""); err != nil {
			b.Fatal(err)
		}
	}, func(int64) string { return "winner" })
}
