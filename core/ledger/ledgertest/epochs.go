package ledgertest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

var epochTests = map[string]func(*testing.T, desk){
	"a record behind a barrier is stale, before it good":       behindBarrier,
	"only the record's own partition counts":                   otherPartitions,
	"also when a batch holds records of several":               oneBatch,
	"a partition that the barrier did not note counts as 0":    newPartition,
	"every barrier above the record's epoch counts":            everyBarrier,
	"a barrier of the record's own epoch does not count":       ownBarrier,
	"an epoch above the gate's is a failed event":              futureEpoch,
	"a gate that is lost makes every epoch a future one":       noGate,
	"other gates of the batch are not hurt":                    manyGates,
	"a barrier waits for a batch that read the gate":           barrierWaitsForBatch,
	"a batch waits for a barrier that is being stored":         batchWaitsForBarrier,
	"a stale record that is written again stays a failed one":  staleAgain,
	"a stale record whose number has gone to another is stale": staleBeforeTaken,
}

// barrier goes through a rebuild's steps in the book: the next epoch, then its noted ends.
func (b desk) barrier(t *testing.T, c coupon.Coupon, ends map[int32]int64) coupon.Mark {
	t.Helper()
	marks, err := b.book.BumpEpochs(t.Context(), []string{c.Tag()}, "rebuilder", time.Minute, true)
	require.NoError(t, err)
	require.Len(t, marks, 1)
	kept, err := b.book.StoreBarriers(t.Context(), marks, ends)
	require.NoError(t, err)
	require.Equal(t, marks, kept)
	return marks[0]
}

func behindBarrier(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	b.barrier(t, c, map[int32]int64{0: 10})
	require.NoError(t, w.Write(t.Context(), records(8,
		place(c, "before", 1), place(c, "last", 2), place(c, "first", 3), place(c, "behind", 4), place(c, "new", 5, epoch(2)))))
	require.Equal(t, []string{"10 stale_epoch", "11 stale_epoch"}, b.failed(t, topic))
	b.requireRows(t, c, 3)
}

func otherPartitions(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	b.barrier(t, c, map[int32]int64{0: 0, 1: 100, 2: 50})
	require.NoError(t, w.Write(t.Context(), of(1, records(99, place(c, "good", 1), place(c, "stale-in1", 2)))))
	require.NoError(t, w.Write(t.Context(), of(2, records(49, place(c, "also-good", 3)))))
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "stale-in0", 4))))
	require.Equal(t, []string{"0 stale_epoch", "100 stale_epoch"}, b.failed(t, topic))
	b.requireRows(t, c, 2)
}

// oneBatch is otherPartitions with all records in one batch: each is judged by the end that was noted of its own.
func oneBatch(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	b.barrier(t, c, map[int32]int64{0: 0, 1: 100, 2: 50})
	batch := of(1, records(99, place(c, "good", 1), place(c, "stale-in1", 2)))
	batch = append(batch, of(2, records(49, place(c, "also-good", 3)))...)
	batch = append(batch, of(0, records(0, place(c, "stale-in0", 4)))...)
	batch = append(batch, of(7, records(3, place(c, "stale-in7", 5)))...) // which the barrier did not note
	require.NoError(t, w.Write(t.Context(), batch))
	require.Equal(t, []string{"0 stale_epoch", "100 stale_epoch", "3 stale_epoch"}, b.failed(t, topic))
	b.requireRows(t, c, 2)
}

func newPartition(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	b.barrier(t, c, map[int32]int64{0: 10})
	require.NoError(t, w.Write(t.Context(), of(7, records(0, place(c, "old", 1), place(c, "new", 2, epoch(2))))))
	require.Equal(t, []string{"0 stale_epoch"}, b.failed(t, topic))
	b.requireRows(t, c, 1)
}

func everyBarrier(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	b.barrier(t, c, map[int32]int64{0: 10})  // epoch 2
	b.barrier(t, c, map[int32]int64{0: 100}) // epoch 3
	require.NoError(t, w.Write(t.Context(), records(20, place(c, "of-1", 1), place(c, "of-2", 2, epoch(2)), place(c, "of-3", 3, epoch(3)))),
		"the record of epoch 1 is behind barrier 2, though before the newest one")
	require.NoError(t, w.Write(t.Context(), records(100, place(c, "late-of2", 4, epoch(2)), place(c, "late-of3", 5, epoch(3)))))
	require.Equal(t, []string{"20 stale_epoch", "100 stale_epoch"}, b.failed(t, topic))
	b.requireRows(t, c, 3)
}

func ownBarrier(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	b.barrier(t, c, map[int32]int64{0: 10})
	require.NoError(t, w.Write(t.Context(), records(10, place(c, "u", 1, epoch(2)))))
	require.Empty(t, b.failed(t, topic))
	b.requireRows(t, c, 1)
}

func futureEpoch(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "u", 1, epoch(2)), place(c, "v", 2), place(c, "u", 3))))
	require.Equal(t, []string{"0 future_epoch"}, b.failed(t, topic))
	b.requireRows(t, c, 2)
	got, err := b.book.Issue(t.Context(), c.ID, "u", 0)
	require.NoError(t, err)
	require.EqualValues(t, 3, got.Seq, "the first good record of the user counts")
}

func noGate(t *testing.T, b desk) {
	c := b.publish(t)
	b.exec(t, "DELETE FROM gates WHERE tag = ?", c.Tag())
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "u", 1))))
	require.Equal(t, []string{"0 future_epoch"}, b.failed(t, topic))
}

func manyGates(t *testing.T, b desk) {
	vendor := b.vendor(t)
	var coupons []coupon.Coupon
	for range 20 {
		coupons = append(coupons, draft(vendor))
	}
	b.create(t, coupons...)
	for _, c := range coupons[:10] {
		b.barrier(t, c, map[int32]int64{0: 0})
	}
	w, topic := b.writer(t)
	var places []coupon.Place
	for _, c := range coupons {
		places = append(places, place(c, "u", 1))
	}
	require.NoError(t, w.Write(t.Context(), records(0, places...)))
	require.Len(t, b.failed(t, topic), 10)
	for i, c := range coupons {
		b.requireRows(t, c, int64(i/10))
	}
}

// Neither is a wonder after a rebuild, and nth_taken is an alarm.
func staleBeforeTaken(t *testing.T, b desk) {
	event := b.event(t)
	several, one, two := b.publish(t, perUser(2)), b.publish(t, ofEvent(event)), b.publish(t, ofEvent(event))
	b.barrier(t, several, map[int32]int64{0: 0})
	b.barrier(t, one, map[int32]int64{0: 0})
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0,
		place(several, "u", 1, nth(1), key("new"), epoch(2)), place(one, "u", 1, epoch(2)))))
	require.NoError(t, w.Write(t.Context(), records(2, place(several, "u", 1, nth(1), key("old")), place(two, "u", 1))))
	require.Equal(t, []string{"2 stale_epoch", "3 stale_epoch"}, b.failed(t, topic))
}

func staleAgain(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	b.barrier(t, c, map[int32]int64{0: 0})
	for range 2 {
		require.NoError(t, w.Write(t.Context(), records(4, place(c, "u", 1))))
	}
	require.Equal(t, []string{"4 stale_epoch"}, b.failed(t, topic))
}

// A batch that has judged its records must be in the book before the barrier is: otherwise the rebuild reads the committed
// offsets and the rows without them, and they appear behind its back.
func barrierWaitsForBatch(t *testing.T, b desk) {
	if b.file {
		t.Skip("SQLite has one writer at a time")
	}
	b = b.own(t)
	c := b.publish(t)
	marks, err := b.book.BumpEpochs(t.Context(), []string{c.Tag()}, "rebuilder", time.Minute, false)
	require.NoError(t, err)
	batch := b.begin(t)
	batch.query(t, "SELECT epoch FROM gates WHERE tag = ? LOCK IN SHARE MODE", c.Tag()) // as a batch begins
	stored := make(chan error, 1)
	go func() {
		_, err := b.book.StoreBarriers(t.Context(), marks, map[int32]int64{0: 0})
		stored <- err
	}()
	b.waitForLock(t, "gates")
	require.Empty(t, stored, "the barrier waits")
	require.Zero(t, b.count(t, "SELECT COUNT(*) FROM gate_barriers WHERE tag = ?", c.Tag()))
	batch.commit(t)
	require.NoError(t, <-stored)
}

func batchWaitsForBarrier(t *testing.T, b desk) {
	b = b.own(t)
	c := b.publish(t)
	w, topic := b.writer(t)
	rebuild := b.begin(t)
	if !b.file { // where a transaction has the one write lock from its beginning
		rebuild.query(t, "SELECT epoch FROM gates WHERE tag = ? FOR UPDATE", c.Tag()) // as a barrier is stored
	}
	waited := b.book.SQL().Stats().WaitCount
	written := make(chan error, 1)
	go func() { written <- w.Write(t.Context(), records(3, place(c, "u", 1))) }()
	if b.file {
		require.Eventually(t, func() bool { return b.book.SQL().Stats().WaitCount > waited }, patience, tick)
	} else {
		b.waitForLock(t, "gates")
	}
	require.Empty(t, written, "the batch waits, whatever it has read before")
	rebuild.exec(t, "UPDATE gates SET epoch = 2 WHERE tag = ?", c.Tag())
	rebuild.exec(t, "INSERT INTO gate_barriers (tag, epoch, partition_no, noted_end) VALUES (?, 2, 0, 3)", c.Tag())
	rebuild.commit(t)
	require.NoError(t, <-written)
	require.Equal(t, []string{"3 stale_epoch"}, b.failed(t, topic), "it judges by what the rebuild left")
	b.requireRows(t, c, 0)
}
