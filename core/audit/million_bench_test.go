package audit_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/ledger/ledgertest"
)

// How long a million issues take, and how much memory, on real servers:
//
//	set -a; . .run/env; set +a; cd core; go test ./audit -run '^$' -bench Million -benchtime 1x -timeout 20m
func BenchmarkAMillionIssues(b *testing.B) {
	w := newWorld(b, true, ledgertest.EnvMySQL)
	const coupons, each = 20, 50_000
	for range coupons {
		w.coupon(1, 0, nil, each)
	}
	w.bulk()
	for b.Loop() {
		runtime.GC()
		debug.FreeOSMemory()
		resetPeak()
		before := resident("VmRSS")
		r := w.verify()
		require.Empty(b, r.Findings)
		require.EqualValues(b, coupons*each, r.LookedAt.Rows)
		require.EqualValues(b, coupons*each, r.LookedAt.Records)
		require.EqualValues(b, coupons*each, r.LookedAt.Holders)
		b.ReportMetric(r.Seconds, "s/audit")
		b.ReportMetric(float64(resident("VmHWM")-before)/1024, "MiB-above-start")
	}
}

// resetPeak makes the kernel count the greatest resident size anew.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// resident is a field of this process' status in KiB; 0 where there is none.
func resident(field string) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// bulk writes coupons with many places into the three books, and forgets the places.
func (w *world) bulk() {
	w.t.Helper()
	ctx := w.ctx()
	places := make([][]place, len(w.coupons))
	for i, c := range w.coupons {
		places[i], c.places = c.places, nil
	}
	w.write() // coupons and gates
	cfg := w.kafka.Config()
	cfg.Producer.Return.Errors = true
	out, err := sarama.NewAsyncProducerFromClient(w.kafka)
	require.NoError(w.t, err)
	sent := 0
	go func() {
		for i, c := range w.coupons {
			for n, p := range places[i] {
				out.Input() <- &sarama.ProducerMessage{Topic: w.cfg.Kafka.Topic, Partition: int32(n % partitions), Value: sarama.StringEncoder(recordOf(c, p, 1))}
			}
		}
	}()
	for i := range places {
		sent += len(places[i])
	}
	for range sent {
		select {
		case <-out.Successes():
		case err := <-out.Errors():
			require.NoError(w.t, err)
		}
	}
	require.NoError(w.t, out.Close())
	for i, c := range w.coupons {
		for from := 0; from < len(places[i]); from += 1000 {
			part := places[i][from:min(from+1000, len(places[i]))]
			var rows, holders []any
			for _, p := range part {
				rows = append(rows, c.id, p.user, p.nth, p.seq, stamp(p.at), stamp(p.at))
				holders = append(holders, c.field(p), fmt.Sprintf("%d:%d", p.seq, p.at.UnixMicro()))
			}
			w.exec("INSERT INTO issues (coupon_id, user_id, nth, seq, epoch, status, accepted_at, issued_at) VALUES "+
				strings.Repeat(",(?, ?, ?, ?, 1, 'issued', ?, ?)", len(part))[1:], rows...)
			require.NoError(w.t, w.redis.HSet(ctx, c.key("holders"), holders...).Err())
		}
		w.exec("UPDATE coupons SET issued_count = ? WHERE id = ?", len(places[i]), c.id)
		w.hset(c.key("coupon"), "admitted", len(places[i]), "last_seq", c.lastSeq)
	}
	w.consume()
}
