package ledgertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

var duplicateTests = map[string]func(*testing.T, desk){
	"a record becomes a row with all it says":         rowRoundTrip,
	"the same batch again changes nothing":            sameBatchAgain,
	"a batch of old and new records adds the new":     halfNew,
	"the first record of a user in a batch counts":    firstCounts,
	"alice and Alice are two users":                   aliceAndAlice,
	"a second batch may begin anywhere in the first":  overlappingBatches,
	"places of one user are told apart by their keys": severalPlaces,
	"another key at a taken place is a failed event":  nthTaken,
	"a duplicate wins over its epoch":                 duplicateOfOldEpoch,
	"a revoked row still is the user's row":           duplicateOfRevoked,
	"an empty batch is nothing":                       emptyBatch,
	"a key where the limit is one is not kept":        keyOfSingle,
}

func rowRoundTrip(t *testing.T, b desk) {
	event := b.event(t)
	c := b.publish(t, ofEvent(event), validFor(30))
	several := b.publish(t, perUser(3))
	w, _ := b.writer(t)
	p := place(c, "A.b_c:d@e-9", 57)
	q := place(several, "u", 58, nth(2), key("K.e_y:1-2"))
	before := time.Now()
	require.NoError(t, w.Write(t.Context(), of(3, records(100, p, q))))

	got, err := b.book.Issue(t.Context(), c.ID, p.UserID, 0)
	require.NoError(t, err)
	require.WithinRange(t, got.IssuedAt, before.Add(-time.Minute), time.Now().Add(time.Minute))
	got.IssuedAt = time.Time{}
	require.Equal(t, coupon.Issue{Place: p, EventID: event, Status: coupon.StatusIssued, ExpiresAt: p.AcceptedAt.AddDate(0, 0, 30)}, got)

	got, err = b.book.Issue(t.Context(), several.ID, "u", 2)
	require.NoError(t, err)
	got.IssuedAt = time.Time{}
	require.Equal(t, coupon.Issue{Place: q, Status: coupon.StatusIssued}, got)
	b.requireRows(t, c, 1)
}

func sameBatchAgain(t *testing.T, b desk) {
	c := b.publish(t, total(1000))
	w, topic := b.writer(t)
	batch := records(0, manyPlaces(c, 200)...)
	for range 3 {
		require.NoError(t, w.Write(t.Context(), batch))
		b.requireRows(t, c, 200)
	}
	require.Empty(t, b.failed(t, topic))
}

// manyPlaces are places of so many users, with seqs from 1.
func manyPlaces(c coupon.Coupon, n int) []coupon.Place {
	places := make([]coupon.Place, n)
	for i := range places {
		places[i] = place(c, fmt.Sprintf("u%05d", (i*7919)%n), int64(i+1)) // not in the order of the key
	}
	return places
}

func halfNew(t *testing.T, b desk) {
	c := b.publish(t, total(30))
	w, topic := b.writer(t)
	places := manyPlaces(c, 30)
	require.NoError(t, w.Write(t.Context(), records(0, places[5:15]...)))
	require.NoError(t, w.Write(t.Context(), records(10, places...)))
	b.requireRows(t, c, 30)
	require.Empty(t, b.failed(t, topic), "the guard counts new rows only")
}

func firstCounts(t *testing.T, b desk) {
	c := b.publish(t)
	w, _ := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "u", 5), place(c, "u", 3), place(c, "v", 4), place(c, "u", 9))))
	got, err := b.book.Issue(t.Context(), c.ID, "u", 0)
	require.NoError(t, err)
	require.EqualValues(t, 5, got.Seq)
	b.requireRows(t, c, 2)
}

func aliceAndAlice(t *testing.T, b desk) {
	c := b.publish(t, total(3))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "alice", 1), place(c, "Alice", 2))))
	require.NoError(t, w.Write(t.Context(), records(2, place(c, "ALICE", 3))))
	b.requireRows(t, c, 3)
	require.Empty(t, b.failed(t, topic))
	for user, seq := range map[string]int64{"alice": 1, "Alice": 2, "ALICE": 3} {
		got, err := b.book.Issue(t.Context(), c.ID, user, 0)
		require.NoError(t, err)
		require.Equal(t, seq, got.Seq, user)
	}
	_, err := b.book.Issue(t.Context(), c.ID, "aLICE", 0)
	require.ErrorIs(t, err, coupon.ErrNotFound)
}

func overlappingBatches(t *testing.T, b desk) {
	c := b.publish(t, total(100))
	w, topic := b.writer(t)
	all := records(0, manyPlaces(c, 100)...)
	for _, part := range [][2]int{{0, 10}, {5, 25}, {0, 50}, {49, 51}, {25, 100}, {99, 100}} {
		require.NoError(t, w.Write(t.Context(), all[part[0]:part[1]]))
	}
	b.requireRows(t, c, 100)
	require.Empty(t, b.failed(t, topic))
}

func severalPlaces(t *testing.T, b desk) {
	c := b.publish(t, perUser(3), total(4))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0,
		place(c, "u", 1, nth(1), key("a")), place(c, "u", 2, nth(2), key("b")), place(c, "v", 3, nth(1), key("a")),
		place(c, "u", 1, nth(1), key("a")))))
	b.requireRows(t, c, 3)
	require.NoError(t, w.Write(t.Context(), records(4,
		place(c, "u", 7, nth(3), key("b")), // the same claim under another number, as after a rebuild
		place(c, "u", 2, nth(2), key("b")),
		place(c, "u", 8, nth(3), key("B")))))
	b.requireRows(t, c, 4)
	require.Empty(t, b.failed(t, topic))
	latest, err := b.book.Issue(t.Context(), c.ID, "u", 0)
	require.NoError(t, err)
	require.Equal(t, "B", latest.Key)
}

func nthTaken(t *testing.T, b desk) {
	c := b.publish(t, perUser(2), total(10))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "u", 1, nth(1), key("a")), place(c, "u", 2, nth(1), key("b")))))
	require.NoError(t, w.Write(t.Context(), records(2, place(c, "u", 3, nth(1), key("c")))))
	require.Equal(t, []string{"1 nth_taken", "2 nth_taken"}, b.failed(t, topic))
	b.requireRows(t, c, 1)
}

func duplicateOfOldEpoch(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	batch := records(5, place(c, "u", 1))
	require.NoError(t, w.Write(t.Context(), batch))
	b.barrier(t, c, map[int32]int64{0: 0})
	require.NoError(t, w.Write(t.Context(), batch), "redelivered after a rebuild that overtook it")
	require.NoError(t, w.Write(t.Context(), records(6, place(c, "u", 1, epoch(99)))))
	require.Empty(t, b.failed(t, topic))
	b.requireRows(t, c, 1)
}

func duplicateOfRevoked(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "u", 1))))
	b.exec(t, "UPDATE issues SET status = 'revoked' WHERE coupon_id = ?", c.ID)
	require.NoError(t, w.Write(t.Context(), records(1, place(c, "u", 1))))
	got, err := b.book.Issue(t.Context(), c.ID, "u", 0)
	require.NoError(t, err)
	require.Equal(t, coupon.StatusRevoked, got.Status)
	require.True(t, got.Revoked)
	require.Empty(t, b.failed(t, topic))
}

func emptyBatch(t *testing.T, b desk) {
	w, _ := b.writer(t)
	require.NoError(t, w.Write(t.Context(), nil))
	require.NoError(t, w.Write(t.Context(), []ledger.Record{}))
}

func keyOfSingle(t *testing.T, b desk) {
	c := b.publish(t)
	w, _ := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "u", 1, key("k")))))
	got, err := b.book.Issue(t.Context(), c.ID, "u", 0)
	require.NoError(t, err)
	require.Empty(t, got.Key)
}
