package ledger_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/ledger/ledgertest"
)

// benchBatch is the greatest batch of the consumer.
const benchBatch = 1000

// BenchmarkWriter writes batches of 1000 records and, in turns with them, the same number of rows by a bare INSERT and
// COMMIT over the same kind of connection. ratio is the writer's rows/s to the bare ones': what rules 11 to 15 cost.
//
//	FIRSTCOME_TEST_MYSQL_DSN=… go test ./ledger -run '^$' -bench Writer -benchtime 100x
func BenchmarkWriter(b *testing.B) {
	for _, server := range []struct{ name, env string }{
		{"mysql", ledgertest.EnvMySQL}, {"mariadb", ledgertest.EnvMariaDB}, {"sqlite", ""},
	} {
		b.Run(server.name, func(b *testing.B) {
			dsn := ""
			if server.env != "" {
				dsn = ledgertest.ServerDSN(b, server.env)
			}
			for _, coupons := range []int{1, 100, 1000} {
				b.Run(fmt.Sprintf("coupons=%d", coupons), func(b *testing.B) { benchWriter(b, dsn, coupons, 0) })
			}
			b.Run("one_duplicate", func(b *testing.B) { benchWriter(b, dsn, 1, 1) })
			b.Run("half_duplicates", func(b *testing.B) { benchWriter(b, dsn, 1, benchBatch/2) })
		})
	}
}

func benchCoupons(b *testing.B, book *ledger.Book, n int) []int64 {
	b.Helper()
	require.NoError(b, book.CreateVendor(b.Context(), 1, "vendor"))
	coupons := make([]coupon.Coupon, n)
	ids := make([]int64, n)
	for i := range coupons {
		ids[i] = int64(i + 1)
		coupons[i] = coupon.Coupon{
			ID: ids[i], VendorID: 1, Name: fmt.Sprint(i), Kind: coupon.FirstComeIssue, PerUserLimit: 1,
			Terms: coupon.Terms{State: coupon.StateOpen, OpensAt: time.Now(), ClosesAt: time.Now().Add(time.Hour)},
		}
	}
	for _, created := range book.CreateCoupons(b.Context(), coupons) {
		require.NoError(b, created.Err)
	}
	return ids
}

func benchPlaces(ids []int64, users *rand.Rand, seq int64) []coupon.Place {
	places := make([]coupon.Place, benchBatch)
	now := time.Now().UTC()
	for i := range places {
		places[i] = coupon.Place{
			CouponID: ids[i%len(ids)], UserID: fmt.Sprintf("user-%010d", users.Uint64()%1e10), Nth: 1, Seq: seq + int64(i),
			Epoch: 1, AcceptedAt: now,
		}
	}
	return places
}

func benchWriter(b *testing.B, dsn string, coupons, again int) {
	bare, book := ledgertest.Fresh(b, dsn), ledgertest.Fresh(b, dsn)
	ids := benchCoupons(b, book, coupons)
	w := ledger.NewWriter(book, ledger.WriterOptions{
		Topic: "bench", Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	users := rand.New(rand.NewPCG(1, 2))
	var last []coupon.Place
	var bareTook, writerTook time.Duration
	for n := range b.N + 1 {
		places := benchPlaces(ids, users, int64(n*benchBatch+1))
		began := time.Now()
		rawInsert(b, bare.SQL(), places)
		between := time.Now()
		batch := benchRecords(append(append([]coupon.Place{}, places...), last[:min(again, len(last))]...)[again:], n)
		made := time.Now()
		require.NoError(b, w.Write(b.Context(), batch))
		if n > 0 { // the first one warms up
			bareTook, writerTook = bareTook+between.Sub(began), writerTook+time.Since(made)
		}
		last = places
	}
	rows := float64(b.N * benchBatch)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rows/bareTook.Seconds(), "bare_rows/s")
	b.ReportMetric(rows/writerTook.Seconds(), "writer_rows/s")
	b.ReportMetric(bareTook.Seconds()/writerTook.Seconds(), "ratio")
}

func benchRecords(places []coupon.Place, n int) []ledger.Record {
	payload := []byte(`{"v":1,"coupon_id":7,"user_id":"user-0123456789","nth":1,"seq":57,"epoch":3,"accepted_at":"2026-11-20T12:00:00.000123Z"}`)
	batch := make([]ledger.Record, len(places))
	for i, p := range places {
		batch[i] = ledger.Record{Offset: int64(n*benchBatch + i), Key: []byte(p.UserID), Payload: payload, Place: p}
	}
	return batch
}

func rawInsert(b *testing.B, db *sql.DB, places []coupon.Place) {
	const form = "2006-01-02 15:04:05.000000"
	args := make([]any, 0, len(places)*8)
	now := time.Now().UTC().Format(form)
	for _, p := range places {
		args = append(args, p.CouponID, p.UserID, p.Nth, p.Seq, p.Epoch, "issued", p.AcceptedAt.Format(form), now)
	}
	tx, err := db.BeginTx(b.Context(), nil)
	require.NoError(b, err)
	_, err = tx.ExecContext(b.Context(), "INSERT INTO issues (coupon_id, user_id, nth, seq, epoch, status, accepted_at, issued_at) VALUES "+
		strings.Repeat(",(?,?,?,?,?,?,?,?)", len(places))[1:], args...)
	require.NoError(b, err)
	require.NoError(b, tx.Commit())
}
