package ledgertest

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

var failedTests = map[string]func(*testing.T, desk){
	"nothing is due before its time":                  notDueYet,
	"two retriers do not get the same event":          twoRetriers,
	"a lease of a dead retrier ends":                  deadRetrier,
	"postponed, it counts and waits":                  postponed,
	"quarantined, it is due no more, until asked for": quarantined,
	"closed, it stays closed":                         closed,
	"a user is told of the latest that was not sent":  failedOf,
	"they are listed by reason and status, in pages":  listFailed,
	"an attempt is counted once":                      countedOnce,
	"many retriers make each attempt once":            manyRetriers,
}

// fail makes so many failed events, all due at once, and returns their ids.
func (b desk) fail(t *testing.T, n int) []int64 {
	t.Helper()
	w, _ := b.writer(t)
	var batch []ledger.Record
	for i := range n {
		batch = append(batch, ledger.Record{Offset: int64(i), Broken: fmt.Errorf("no %d", i), Reason: coupon.FailUndecodable})
	}
	require.NoError(t, w.Write(t.Context(), batch))
	b.exec(t, "UPDATE failed_events SET next_attempt_at = '2026-01-01 00:00:00.000000'")
	events, err := b.book.FailedEvents(t.Context(), 0, 1000, "", coupon.FailedWaiting)
	require.NoError(t, err)
	var ids []int64
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func (b desk) due(t *testing.T, limit int, owner string, lease time.Duration) []int64 {
	t.Helper()
	events, err := b.book.DueFailed(t.Context(), limit, owner, lease)
	require.NoError(t, err)
	ids := []int64{}
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func notDueYet(t *testing.T, b desk) {
	b = b.own(t)
	w, _ := b.writer(t)
	require.NoError(t, w.Write(t.Context(), []ledger.Record{{Broken: errors.New("no"), Reason: coupon.FailUndecodable}}))
	require.Empty(t, b.due(t, 10, "a", time.Minute), "ten seconds later")
}

func twoRetriers(t *testing.T, b desk) {
	b = b.own(t)
	ids := b.fail(t, 40)
	taken := make([][]int64, 4)
	var all sync.WaitGroup
	for r := range taken {
		all.Go(func() {
			for range 4 {
				events, err := b.book.DueFailed(t.Context(), 5, fmt.Sprint("retrier ", r), time.Minute)
				if err != nil {
					t.Error(err)
				}
				for _, e := range events {
					taken[r] = append(taken[r], e.ID)
					if err := b.book.CloseFailed(t.Context(), e.ID, coupon.FailedReplayed); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	var union []int64
	for _, list := range taken {
		union = append(union, list...)
	}
	for left := b.due(t, 5, "last", time.Minute); len(left) > 0; left = b.due(t, 5, "last", time.Minute) {
		for _, id := range left {
			require.NoError(t, b.book.CloseFailed(t.Context(), id, coupon.FailedReplayed))
		}
		union = append(union, left...)
	}
	require.ElementsMatch(t, ids, union, "each once")
}

func deadRetrier(t *testing.T, b desk) {
	b = b.own(t)
	ids := b.fail(t, 3)
	require.Equal(t, ids, b.due(t, 10, "dead", 300*time.Millisecond))
	require.Equal(t, ids, b.due(t, 10, "dead", 300*time.Millisecond), "one's own")
	require.Empty(t, b.due(t, 10, "alive", time.Minute))
	require.Eventually(t, func() bool { return len(b.due(t, 10, "alive", time.Minute)) == 3 }, patience, tick)
}

func postponed(t *testing.T, b desk) {
	b = b.own(t)
	id := b.fail(t, 1)[0]
	b.due(t, 10, "a", time.Minute)
	next := time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond)
	require.NoError(t, b.book.PostponeFailed(t.Context(), id, 0, next, "sold out \xff", false))
	require.Empty(t, b.due(t, 10, "b", time.Minute))
	got, err := b.book.FailedEvents(t.Context(), 0, 10, "", "")
	require.NoError(t, err)
	require.Equal(t, 1, got[0].Attempts)
	require.Equal(t, next, got[0].NextAttemptAt)
	require.Equal(t, "sold out ?", got[0].Error)
	require.Equal(t, coupon.FailedWaiting, got[0].Status)
	require.NoError(t, b.book.PostponeFailed(t.Context(), id, 1, time.Now().Add(-time.Hour), "again", false))
	require.Equal(t, []int64{id}, b.due(t, 10, "b", time.Minute), "its lease ended with the first")
}

func quarantined(t *testing.T, b desk) {
	b = b.own(t)
	id := b.fail(t, 1)[0]
	require.NoError(t, b.book.PostponeFailed(t.Context(), id, 0, time.Now(), "eight times", true))
	require.Empty(t, b.due(t, 10, "a", time.Minute))
	require.NoError(t, b.book.CloseFailed(t.Context(), id, coupon.FailedReplayed))
	require.NoError(t, b.book.PostponeFailed(t.Context(), id, 1, time.Now(), "late", false))
	got, err := b.book.FailedEvents(t.Context(), 0, 10, "", coupon.FailedQuarantined)
	require.NoError(t, err)
	require.Len(t, got, 1, "a late retrier changes nothing")
	require.NoError(t, b.book.RequeueFailed(t.Context(), id))
	events, err := b.book.DueFailed(t.Context(), 10, "a", time.Minute)
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Zero(t, events[0].Attempts)
	require.ErrorIs(t, b.book.RequeueFailed(t.Context(), id+1000), coupon.ErrNotFound)
}

func closed(t *testing.T, b desk) {
	b = b.own(t)
	id := b.fail(t, 1)[0]
	require.NoError(t, b.book.CloseFailed(t.Context(), id, coupon.FailedReplayed))
	require.NoError(t, b.book.PostponeFailed(t.Context(), id, 0, time.Now(), "late", true))
	require.Empty(t, b.due(t, 10, "a", time.Minute))
	got, err := b.book.FailedEvents(t.Context(), 0, 10, "", coupon.FailedReplayed)
	require.NoError(t, err)
	require.Len(t, got, 1)
}

func failedOf(t *testing.T, b desk) {
	c := b.publish(t, total(1))
	w, topic := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "a", 1), place(c, "u", 2), place(c, "u", 3, epoch(9)))))
	require.Equal(t, []string{"1 over_cap", "2 future_epoch"}, b.failed(t, topic))
	got, err := b.book.FailedOf(t.Context(), c.ID, "u")
	require.NoError(t, err)
	latest := got.ID
	require.NoError(t, b.book.CloseFailed(t.Context(), latest, coupon.FailedReplayed))
	got, err = b.book.FailedOf(t.Context(), c.ID, "u")
	require.NoError(t, err)
	require.NotEqual(t, latest, got.ID)
	for _, user := range []string{"U", "a", "nobody"} {
		_, err = b.book.FailedOf(t.Context(), c.ID, user)
		require.ErrorIs(t, err, coupon.ErrNotFound, user)
	}
}

func listFailed(t *testing.T, b desk) {
	b = b.own(t)
	ids := b.fail(t, 25)
	c := b.publish(t)
	w, _ := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(draft(1), "u", 1), place(c, "v", 1, epoch(5)))))
	var seen []int64
	for after := int64(0); ; {
		page, err := b.book.FailedEvents(t.Context(), after, 10, coupon.FailUndecodable, coupon.FailedWaiting)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			seen = append(seen, e.ID)
		}
		after = page[len(page)-1].ID
	}
	require.Equal(t, ids, seen)
	unknown, err := b.book.FailedEvents(t.Context(), 0, 10, coupon.FailUnknownCoupon, "")
	require.NoError(t, err)
	require.Len(t, unknown, 1)
	none, err := b.book.FailedEvents(t.Context(), 0, 10, coupon.FailUnknownCoupon, coupon.FailedReplayed)
	require.NoError(t, err)
	require.Empty(t, none)
}

// Two retriers at one event, since the lease of the first ran out: what they made together is one attempt.
func countedOnce(t *testing.T, b desk) {
	b = b.own(t)
	id := b.fail(t, 1)[0]
	later := time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond)
	require.NoError(t, b.book.PostponeFailed(t.Context(), id, 0, later, "the second", false))
	require.NoError(t, b.book.PostponeFailed(t.Context(), id, 0, later.Add(time.Hour), "the first, late", true))
	got, err := b.book.FailedEvents(t.Context(), 0, 10, "", coupon.FailedWaiting)
	require.NoError(t, err)
	require.Len(t, got, 1, "nor quarantined by one who is late")
	require.Equal(t, 1, got[0].Attempts)
	require.Equal(t, "the second", got[0].Error)

	require.NoError(t, b.book.RequeueFailed(t.Context(), id)) // an admin, while an attempt is under way
	require.NoError(t, b.book.PostponeFailed(t.Context(), id, 1, later, "of before", true))
	require.Equal(t, []int64{id}, b.due(t, 10, "a", time.Minute), "the admin's word stands")
}

// Real retriers, each with its own connections, on many events whose gate refuses: every event has exactly as many
// attempts as were made of it, and none is worked on by two at once.
func manyRetriers(t *testing.T, b desk) {
	b = b.own(t)
	const events, rounds, retriers = 60, 3, 4
	ids := b.fail(t, events)
	made, underWay := map[int64]int{}, map[int64]bool{}
	var mu sync.Mutex
	for range rounds {
		b.exec(t, "UPDATE failed_events SET next_attempt_at = '2026-01-01 00:00:00.000000'")
		var all sync.WaitGroup
		for r := range retriers {
			book := Open(t, b.dsn)
			all.Go(func() {
				for idle := 0; idle < 3; {
					taken, err := book.DueFailed(t.Context(), 7, fmt.Sprint("retrier ", r), time.Minute)
					if err != nil {
						t.Error(err)
						return
					}
					if len(taken) == 0 {
						idle++
					}
					for _, e := range taken {
						mu.Lock()
						if underWay[e.ID] {
							t.Errorf("event %d is worked on by two", e.ID)
						}
						underWay[e.ID] = true
						made[e.ID]++
						mu.Unlock()
						runtime.Gosched()
						mu.Lock()
						underWay[e.ID] = false // before its lease ends
						mu.Unlock()
						if err = book.PostponeFailed(t.Context(), e.ID, e.Attempts, time.Now().Add(time.Hour), "sold out", false); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		all.Wait()
	}
	for _, id := range ids {
		require.Equal(t, rounds, made[id], "event %d", id)
		require.EqualValues(t, rounds, b.count(t, "SELECT attempts FROM failed_events WHERE id = ?", id))
	}
}
