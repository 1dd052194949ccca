package ledgertest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

var crowdTests = map[string]func(*testing.T, desk){
	"zombies that write the same batches change nothing": zombies,
	"writers of many partitions keep exact counters":     manyPartitions,
	"writers of one full coupon never go above its cap":  manyAtCap,
	"users of one event get one coupon":                  manyInEvent,
}

// zombies: a consumer that was thought dead goes on beside the one that took over its partition.
func zombies(t *testing.T, b desk) {
	const n, step = 600, 100
	vendor := b.vendor(t)
	coupons := []coupon.Coupon{draft(vendor, total(n)), draft(vendor, total(n)), draft(vendor, perUser(2))}
	b.create(t, coupons...)
	var places []coupon.Place
	for i := range n {
		c := coupons[i%len(coupons)]
		p := place(c, fmt.Sprintf("u%d", (i*7919)%n), int64(i+1))
		if c.PerUserLimit > 1 {
			p.Key = "k"
		}
		places = append(places, p)
	}
	batch := records(0, places...)
	topic := fmt.Sprint("test.", newID())
	var all sync.WaitGroup
	for z := range 4 {
		all.Go(func() {
			w := b.writerOf(topic)
			for from := 0; from < n; from += step {
				// They do not even agree on where a batch begins.
				part := batch[max(from-z*11, 0):min(from+step, n)]
				if err := w.Write(t.Context(), part); err != nil {
					t.Errorf("zombie %d: %v", z, err)
				}
			}
		})
	}
	all.Wait()
	for _, c := range coupons {
		b.requireRows(t, c, n/int64(len(coupons)))
	}
	require.Empty(t, b.failed(t, topic))
}

func manyPartitions(t *testing.T, b desk) {
	const partitions, batches, size = 6, 6, 60
	vendor := b.vendor(t)
	coupons := make([]coupon.Coupon, 10)
	for i := range coupons {
		coupons[i] = draft(vendor, total(100_000))
	}
	b.create(t, coupons...)
	topic := fmt.Sprint("test.", newID())
	w := b.writerOf(topic)
	want := make([]map[int64]int64, partitions)
	var all sync.WaitGroup
	for p := range partitions {
		want[p] = make(map[int64]int64)
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(p), 1)) //nolint:gosec // repeatable on purpose
			var last []ledger.Record
			for n := range batches {
				batch := append([]ledger.Record{}, last[:min(len(last), random.IntN(size))]...) // some again
				for i := range size {
					c := coupons[random.IntN(len(coupons))]
					batch = append(batch, record(int64(n*size+i), place(c, fmt.Sprintf("p%d-%d-%d", p, n, i), int64(i+1))))
					want[p][c.ID]++
				}
				last = batch
				if err := w.Write(t.Context(), of(int32(p), batch)); err != nil {
					t.Errorf("partition %d: %v", p, err)
				}
			}
		})
	}
	all.Wait()
	for _, c := range coupons {
		var sum int64
		for p := range partitions {
			sum += want[p][c.ID]
		}
		b.requireRows(t, c, sum)
	}
	require.Empty(t, b.failed(t, topic))
}

func manyAtCap(t *testing.T, b desk) {
	const partitions, size, places = 5, 40, 90
	c := b.publish(t, total(places))
	topic := fmt.Sprint("test.", newID())
	w := b.writerOf(topic)
	var all sync.WaitGroup
	for p := range partitions {
		all.Go(func() {
			for n := range 2 {
				var batch []ledger.Record
				for i := range size / 2 {
					seq := int64((n*size/2+i)*partitions + p + 1)
					batch = append(batch, record(int64(n*size/2+i), place(c, fmt.Sprintf("u%d", seq), seq)))
				}
				if err := w.Write(t.Context(), of(int32(p), batch)); err != nil {
					t.Errorf("partition %d: %v", p, err)
				}
			}
		})
	}
	all.Wait()
	b.requireRows(t, c, places)
	require.Len(t, b.failed(t, topic), partitions*size-places)
}

func manyInEvent(t *testing.T, b desk) {
	const users, kinds = 60, 4
	vendor, event := b.vendor(t), b.event(t)
	coupons := make([]coupon.Coupon, kinds)
	for i := range coupons {
		coupons[i] = draft(vendor, ofEvent(event))
	}
	b.create(t, coupons...)
	topic := fmt.Sprint("test.", newID())
	w := b.writerOf(topic)
	var all sync.WaitGroup
	for k, c := range coupons {
		all.Go(func() {
			var places []coupon.Place
			for u := range users {
				places = append(places, place(c, fmt.Sprintf("u%d", u), int64(u+1)))
			}
			if err := w.Write(t.Context(), of(int32(k), records(0, places...))); err != nil {
				t.Errorf("coupon %d: %v", k, err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, users, b.count(t, "SELECT COUNT(*) FROM issues WHERE event_id = ?", event))
	require.EqualValues(t, users, b.count(t, "SELECT SUM(issued_count) FROM coupons WHERE event_id = ?", event))
	require.Len(t, b.failed(t, topic), users*(kinds-1))
}
