package ledgertest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

var refusedTests = map[string]func(*testing.T, desk){
	"broken records are kept with all there is of them": brokenKept,
	"what is kept of a record is bounded":               keptIsBounded,
	"a batch of broken records only":                    onlyBroken,
	"a coupon that is not there":                        unknownCoupon,
	"a coupon that is published later":                  couponLater,
	"a place that cannot be at this coupon":             impossiblePlaces,
	"one record that the database refuses":              refusedByDatabase,
	"records that the database refuses, everywhere":     refusedEverywhere,
	"a record that failed again counts on":              attemptsCount,
}

func brokenKept(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	payload := []byte("\x00\xff{not json'\"\\")
	require.NoError(t, w.Write(t.Context(), of(4, []ledger.Record{
		record(7, place(c, "a", 1)),
		{Offset: 8, Key: []byte("k\x00\xfe'"), Payload: payload, Broken: errors.New("bad \xff thing \x00 'here'"), Reason: coupon.FailUnknownVersion},
		record(9, place(c, "b", 2)),
	})))
	b.requireRows(t, c, 2)
	got := b.onlyFailed(t, topic)
	require.WithinDuration(t, time.Now(), got.CreatedAt, time.Minute)
	require.WithinDuration(t, time.Now().Add(10*time.Second), got.NextAttemptAt, time.Minute)
	got.CreatedAt, got.UpdatedAt, got.NextAttemptAt, got.ID = time.Time{}, time.Time{}, time.Time{}, 0
	require.Equal(t, coupon.FailedEvent{
		Topic: topic, Partition: 4, Offset: 8, RecordKey: "k\x00\xfe'", Payload: payload, Reason: coupon.FailUnknownVersion,
		Error: "bad ? thing ? 'here'", Status: coupon.FailedWaiting,
	}, got)
}

// onlyFailed is the one failed event of a topic.
func (b desk) onlyFailed(t *testing.T, topic string) coupon.FailedEvent {
	t.Helper()
	var found []coupon.FailedEvent
	for after := int64(0); ; {
		page, err := b.book.FailedEvents(t.Context(), after, 100, "", "")
		require.NoError(t, err)
		for _, e := range page {
			if after = e.ID; e.Topic == topic {
				found = append(found, e)
			}
		}
		if len(page) < 100 {
			break
		}
	}
	require.Len(t, found, 1)
	return found[0]
}

func keptIsBounded(t *testing.T, b desk) {
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), []ledger.Record{{
		Key: bytes.Repeat([]byte("k"), 1000), Payload: bytes.Repeat([]byte("'"), 200_000),
		Broken: errors.New(strings.Repeat("가", 3000)), Reason: coupon.FailUndecodable,
	}}))
	got := b.onlyFailed(t, topic)
	require.Len(t, got.RecordKey, 256)
	require.Len(t, got.Payload, coupon.MaxPayloadKept)
	require.Len(t, []rune(got.Error), 1000)
}

func onlyBroken(t *testing.T, b desk) {
	w, topic := b.writer(t)
	var batch []ledger.Record
	for i := range 150 {
		batch = append(batch, ledger.Record{Offset: int64(i), Payload: bytes.Repeat([]byte("x"), 10_000), Broken: errors.New("no"), Reason: coupon.FailUndecodable})
	}
	for range 2 {
		require.NoError(t, w.Write(t.Context(), batch))
	}
	require.Len(t, b.failed(t, topic), 150)
}

func unknownCoupon(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(draft(1), "u", 1), place(c, "u", 1))))
	require.Equal(t, []string{"0 unknown_coupon"}, b.failed(t, topic))
	b.requireRows(t, c, 1)
}

func couponLater(t *testing.T, b desk) {
	c := draft(b.vendor(t))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "u", 1))))
	b.create(t, c)
	require.NoError(t, w.Write(t.Context(), records(1, place(c, "u", 1))), "nothing remembers that it was not there")
	require.Equal(t, []string{"0 unknown_coupon"}, b.failed(t, topic))
	b.requireRows(t, c, 1)
}

func impossiblePlaces(t *testing.T, b desk) {
	single, several := b.publish(t), b.publish(t, perUser(2))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0,
		place(single, "u", 1, nth(2)), place(several, "u", 2, nth(3), key("k")), place(several, "u", 3, nth(1)),
		place(single, "u", 4, nth(0)), place(single, "v", 5), place(several, "v", 6, nth(2), key("k")),
		place(single, "v ", 7), place(single, "", 8), place(single, "é", 9), place(single, strings.Repeat("u", 65), 10),
		place(single, "w", 0), place(single, "w", -1), place(several, "w", 1, key("k ")))))
	require.Equal(t, []string{
		"0 undecodable", "1 undecodable", "2 undecodable", "3 undecodable", "6 undecodable", "7 undecodable",
		"8 undecodable", "9 undecodable", "10 undecodable", "11 undecodable", "12 undecodable",
	}, b.failed(t, topic))
	b.requireRows(t, single, 1)
	b.requireRows(t, several, 1)
}

func refusedByDatabase(t *testing.T, b desk) {
	c := b.publish(t, total(50))
	w, topic := b.writer(t)
	places := manyPlaces(c, 40)
	places[23].AcceptedAt = time.Time{} // NULL where none may be; no decoder lets it through
	require.NoError(t, w.Write(t.Context(), records(100, places...)))
	require.Equal(t, []string{"123 refused_by_db"}, b.failed(t, topic))
	b.requireRows(t, c, 39)
	require.NoError(t, w.Write(t.Context(), records(100, places...)), "and again")
	require.Equal(t, []string{"123 refused_by_db"}, b.failed(t, topic))
	b.requireRows(t, c, 39)
}

func refusedEverywhere(t *testing.T, b desk) {
	c := b.publish(t)
	w, topic := b.writer(t)
	batch := records(0, manyPlaces(c, 30)...)
	var want []string
	for i := 0; i < len(batch); i += 7 {
		batch[i].Place.AcceptedAt = time.Time{}
		want = append(want, fmt.Sprintf("%d refused_by_db", i))
	}
	require.NoError(t, w.Write(t.Context(), batch))
	require.Equal(t, want, b.failed(t, topic))
	b.requireRows(t, c, int64(30-len(want)))
}

func attemptsCount(t *testing.T, b desk) {
	c := b.publish(t, total(1))
	w, topic := b.writer(t)
	r := record(1, place(c, "b", 2))
	r.Attempts = 5
	require.NoError(t, w.Write(t.Context(), []ledger.Record{record(0, place(c, "a", 1)), r}))
	got := b.onlyFailed(t, topic)
	require.Equal(t, coupon.FailOverCap, got.Reason)
	require.Equal(t, 5, got.Attempts)
	require.Equal(t, c.ID, got.CouponID)
	require.Equal(t, "b", got.UserID)
	require.WithinDuration(t, got.CreatedAt.Add(320*time.Second), got.NextAttemptAt, time.Millisecond, "10 s, doubled five times")
}
