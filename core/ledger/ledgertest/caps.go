package ledgertest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

var capTests = map[string]func(*testing.T, desk){
	"what fits exactly fits":                            exactCap,
	"what does not fit becomes failed events, last seq": overCap,
	"a full coupon does not hurt its neighbours":        fullNeighbour,
	"duplicates do not count against the cap":           duplicatesAtCap,
	"a coupon that is full takes nothing":               nothingFits,
	"identical records of a place that does not fit":    overCapTwice,
	"an unlimited coupon is never full":                 unlimited,
	"one event's user gets the coupon that has room":    overCapInEvent,
	"a thousand coupons in one batch":                   thousandCoupons,
	"more records than one statement takes":             bigBatch,
	"the guard stands in the database":                  guardInDatabase,
}

func exactCap(t *testing.T, b desk) {
	c := b.publish(t, total(100))
	w, topic := b.writer(t)
	places := manyPlaces(c, 100)
	require.NoError(t, w.Write(t.Context(), records(0, places[:60]...)))
	require.NoError(t, w.Write(t.Context(), records(60, places[60:]...)))
	b.requireRows(t, c, 100)
	require.Empty(t, b.failed(t, topic))
}

func overCap(t *testing.T, b desk) {
	c := b.publish(t, total(3))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(10, place(c, "a", 1))))
	require.NoError(t, w.Write(t.Context(), records(11, place(c, "e", 5), place(c, "b", 2), place(c, "d", 4), place(c, "c", 3))))
	require.Equal(t, []string{"11 over_cap", "13 over_cap"}, b.failed(t, topic), "those with the greatest seqs")
	b.requireRows(t, c, 3)
	require.NoError(t, w.Write(t.Context(), records(11, place(c, "e", 5), place(c, "b", 2), place(c, "d", 4), place(c, "c", 3))))
	require.Len(t, b.failed(t, topic), 2)
	b.requireRows(t, c, 3)
}

func fullNeighbour(t *testing.T, b desk) {
	full, good, free := b.publish(t, total(1)), b.publish(t, total(2)), b.publish(t)
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0,
		place(full, "a", 1), place(good, "a", 1), place(full, "b", 2), place(free, "a", 1), place(good, "b", 2), place(free, "b", 2))))
	require.Equal(t, []string{"2 over_cap"}, b.failed(t, topic))
	b.requireRows(t, full, 1)
	b.requireRows(t, good, 2)
	b.requireRows(t, free, 2)
}

func duplicatesAtCap(t *testing.T, b desk) {
	c := b.publish(t, total(2))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "a", 1), place(c, "b", 2))))
	require.NoError(t, w.Write(t.Context(), records(2, place(c, "a", 1), place(c, "b", 2), place(c, "a", 1))))
	require.Empty(t, b.failed(t, topic))
	b.requireRows(t, c, 2)
}

func nothingFits(t *testing.T, b desk) {
	c := b.publish(t, total(1))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "a", 1))))
	require.NoError(t, w.Write(t.Context(), records(1, place(c, "b", 2))))
	require.NoError(t, w.Write(t.Context(), records(2, place(c, "c", 3), place(c, "d", 4))))
	require.Equal(t, []string{"1 over_cap", "2 over_cap", "3 over_cap"}, b.failed(t, topic))
	b.requireRows(t, c, 1)
}

func overCapTwice(t *testing.T, b desk) {
	c := b.publish(t, total(1))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "a", 1), place(c, "b", 2), place(c, "b", 2))))
	require.Equal(t, []string{"1 over_cap", "2 over_cap"}, b.failed(t, topic), "there is no row that it could be a duplicate of")
}

func unlimited(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, manyPlaces(c, 300)...)))
	require.Empty(t, b.failed(t, topic))
	b.requireRows(t, c, 300)
}

func overCapInEvent(t *testing.T, b desk) {
	event := b.event(t)
	full, other := b.publish(t, ofEvent(event), total(1)), b.publish(t, ofEvent(event), total(1))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(full, "a", 1))))
	require.NoError(t, w.Write(t.Context(), records(1, place(full, "b", 2), place(other, "b", 1))))
	require.Equal(t, []string{"1 over_cap"}, b.failed(t, topic))
	b.requireRows(t, other, 1)
}

func thousandCoupons(t *testing.T, b desk) {
	const n = 1000
	vendor := b.vendor(t)
	coupons := make([]coupon.Coupon, n)
	for i := range coupons {
		coupons[i] = draft(vendor, total(int64(i%4+1)))
	}
	b.create(t, coupons...)
	w, topic := b.writer(t)
	var places []coupon.Place
	for i, c := range coupons { // one more than fits, every tenth
		for u := range i%4 + 1 {
			places = append(places, place(c, fmt.Sprintf("u%d", u), int64(u+1)))
		}
	}
	batch := records(0, places...)
	for part := range 3 {
		from, to := part*len(batch)/3, (part+1)*len(batch)/3
		require.NoError(t, w.Write(t.Context(), batch[from:to]))
	}
	require.NoError(t, w.Write(t.Context(), batch[:1000]))
	require.Empty(t, b.failed(t, topic))
	var over []coupon.Place
	for _, c := range coupons[:n/10] {
		over = append(over, place(c, "late", 99))
	}
	require.NoError(t, w.Write(t.Context(), records(10_000, over...)))
	require.Len(t, b.failed(t, topic), n/10)
	for i, c := range coupons {
		if i%97 == 0 {
			b.requireRows(t, c, int64(i%4+1))
		}
	}
	require.Zero(t, b.count(t, `SELECT COUNT(*) FROM coupons c WHERE c.vendor_id = ? AND (c.issued_count <> c.total_quantity
		OR c.issued_count <> (SELECT COUNT(*) FROM issues i WHERE i.coupon_id = c.id))`, vendor))
}

func bigBatch(t *testing.T, b desk) {
	c := b.publish(t, total(1500))
	w, topic := b.writer(t)
	batch := records(0, manyPlaces(c, 1500)...)
	for i := range 250 {
		batch = append(batch, ledger.Record{Offset: int64(1500 + i), Broken: fmt.Errorf("broken %d", i), Reason: coupon.FailUndecodable})
	}
	require.NoError(t, w.Write(t.Context(), batch))
	require.NoError(t, w.Write(t.Context(), batch))
	b.requireRows(t, c, 1500)
	require.Len(t, b.failed(t, topic), 250)
}

func guardInDatabase(t *testing.T, b desk) {
	c := b.publish(t, total(2))
	b.exec(t, "UPDATE coupons SET issued_count = 2 WHERE id = ?", c.ID) // rows that nobody sees here
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "a", 1))))
	require.Equal(t, []string{"0 over_cap"}, b.failed(t, topic))
	require.Zero(t, b.count(t, "SELECT COUNT(*) FROM issues WHERE coupon_id = ?", c.ID))
}
