package ledgertest

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/ledger"
)

var rebuildTests = map[string]func(*testing.T, desk){
	"each attempt has an epoch of its own":               ownEpochs,
	"a lease keeps others out until it ends":             rebuildLease,
	"a barrier is stored only under its own epoch":       barrierFence,
	"a barrier is never replaced by another":             barrierOnce,
	"a barrier without partitions is refused":            barrierEmpty,
	"barriers come back as they were stored":             barriersRoundTrip,
	"what was seen of the topic":                         seenOfTopic,
	"hundreds of tags in one pass":                       manyTags,
	"all rows are read, in pages, whatever their status": loadAll,
	"the rows are one snapshot while writers write":      loadSnapshot,
	"an error of the reader ends it":                     loadEnds,
	"the connection is as before after a load":           loadLeavesSession,
}

func ownEpochs(t *testing.T, b desk) {
	c := b.publish(t)
	seen := make(chan int64, 20)
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			marks, err := b.book.BumpEpochs(t.Context(), []string{c.Tag()}, fmt.Sprint("rebuilder ", i), time.Minute, true)
			if err != nil {
				t.Error(err)
			}
			for _, m := range marks {
				seen <- m.Epoch
			}
		})
	}
	all.Wait()
	close(seen)
	epochs := make(map[int64]bool)
	for e := range seen {
		epochs[e] = true
	}
	require.Len(t, epochs, 10)
	now, err := b.book.Epochs(t.Context(), []string{c.Tag()})
	require.NoError(t, err)
	require.EqualValues(t, 11, now[c.Tag()])
}

func rebuildLease(t *testing.T, b desk) {
	vendor := b.vendor(t)
	one, two, retired := draft(vendor), draft(vendor), draft(vendor)
	b.create(t, one, two, retired)
	b.exec(t, "UPDATE gates SET state = 'retired' WHERE tag = ?", retired.Tag())
	take := func(owner string, lease time.Duration, force bool) []coupon.Mark {
		marks, err := b.book.BumpEpochs(t.Context(), []string{two.Tag(), one.Tag(), "c0", retired.Tag(), one.Tag()}, owner, lease, force)
		require.NoError(t, err)
		return marks
	}
	first := take("a", time.Minute, false)
	require.ElementsMatch(t, []coupon.Mark{{Tag: one.Tag(), Epoch: 2}, {Tag: two.Tag(), Epoch: 2}}, first)
	require.Empty(t, take("b", time.Minute, false))
	require.Len(t, take("a", time.Minute, false), 2, "one's own lease")
	require.NoError(t, b.book.ReleaseLeases(t.Context(), first), "of epochs that have gone by")
	require.Empty(t, take("b", time.Minute, false))
	forced := take("b", time.Minute, true)
	require.Len(t, forced, 2)
	require.NoError(t, b.book.ReleaseLeases(t.Context(), forced))
	require.Len(t, take("c", time.Millisecond, false), 2)
	require.Eventually(t, func() bool { return len(take("d", time.Minute, false)) == 2 }, patience, tick, "the lease has run out")
}

func barrierFence(t *testing.T, b desk) {
	c := b.publish(t)
	bump := func() []coupon.Mark {
		marks, err := b.book.BumpEpochs(t.Context(), []string{c.Tag()}, "r", time.Minute, true)
		require.NoError(t, err)
		return marks
	}
	slow, fast := bump(), bump()
	kept, err := b.book.StoreBarriers(t.Context(), slow, map[int32]int64{0: 5})
	require.NoError(t, err)
	require.Empty(t, kept)
	kept, err = b.book.StoreBarriers(t.Context(), append(fast, coupon.Mark{Tag: "c0", Epoch: 3}), map[int32]int64{0: 7})
	require.NoError(t, err)
	require.Equal(t, fast, kept)
	barriers, err := b.book.Barriers(t.Context(), []string{c.Tag()})
	require.NoError(t, err)
	require.Equal(t, coupon.Barriers{c.Tag(): {{Epoch: 3, Ends: map[int32]int64{0: 7}}}}, barriers)
}

func barrierOnce(t *testing.T, b desk) {
	c := b.publish(t)
	ends := map[int32]int64{0: 5, 1: 9}
	mark := b.barrier(t, c, ends)
	kept, err := b.book.StoreBarriers(t.Context(), []coupon.Mark{mark}, ends)
	require.NoError(t, err)
	require.Len(t, kept, 1, "the same once more, after an answer that was lost")
	kept, err = b.book.StoreBarriers(t.Context(), []coupon.Mark{mark}, map[int32]int64{0: 6, 1: 9})
	require.NoError(t, err)
	require.Empty(t, kept, "records were judged by the first")
	barriers, err := b.book.Barriers(t.Context(), []string{c.Tag()})
	require.NoError(t, err)
	require.Equal(t, ends, barriers[c.Tag()][0].Ends)
}

func barrierEmpty(t *testing.T, b desk) {
	c := b.publish(t)
	marks, err := b.book.BumpEpochs(t.Context(), []string{c.Tag()}, "r", time.Minute, true)
	require.NoError(t, err)
	_, err = b.book.StoreBarriers(t.Context(), marks, nil)
	require.Error(t, err)
}

func barriersRoundTrip(t *testing.T, b desk) {
	c, d := b.publish(t), b.publish(t)
	ends := []map[int32]int64{{0: 1, 1: 0, 11: 5}, {0: 2, 1: 0, 11: 1 << 50}}
	b.barrier(t, c, ends[0])
	b.barrier(t, c, ends[1])
	b.barrier(t, d, ends[1])
	got, err := b.book.Barriers(t.Context(), []string{c.Tag(), d.Tag(), "c0"})
	require.NoError(t, err)
	require.Equal(t, coupon.Barriers{
		c.Tag(): {{Epoch: 2, Ends: ends[0]}, {Epoch: 3, Ends: ends[1]}}, d.Tag(): {{Epoch: 2, Ends: ends[1]}},
	}, got)
}

func manyTags(t *testing.T, b desk) {
	vendor := b.vendor(t)
	coupons := make([]coupon.Coupon, 450)
	tags := make([]string, len(coupons))
	for i := range coupons {
		coupons[i] = draft(vendor)
		tags[i] = coupons[i].Tag()
	}
	b.create(t, coupons...)
	marks, err := b.book.BumpEpochs(t.Context(), tags, "r", time.Minute, false)
	require.NoError(t, err)
	require.Len(t, marks, len(tags))
	ends := make(map[int32]int64)
	for p := range int32(4) {
		ends[p] = int64(p)
	}
	kept, err := b.book.StoreBarriers(t.Context(), marks, ends)
	require.NoError(t, err)
	require.Len(t, kept, len(tags))
	barriers, err := b.book.Barriers(t.Context(), tags)
	require.NoError(t, err)
	require.Len(t, barriers, len(tags))
	told := 0
	require.NoError(t, b.book.LoadTags(t.Context(), tags, func(c []coupon.Coupon) error {
		told += len(c)
		return nil
	}, func(coupon.Ref, []coupon.Place) error { return errors.New("there are no rows") }))
	require.Equal(t, len(tags), told)
	require.NoError(t, b.book.ReleaseLeases(t.Context(), kept))
	marks, err = b.book.BumpEpochs(t.Context(), tags, "other", time.Minute, false)
	require.NoError(t, err)
	require.Len(t, marks, len(tags))
}

func loadAll(t *testing.T, b desk) {
	vendor, event := b.vendor(t), b.event(t)
	big, small, several := draft(vendor, total(5000)), draft(vendor), draft(vendor, perUser(3))
	member, sibling := draft(vendor, ofEvent(event)), draft(vendor, ofEvent(event))
	all := []coupon.Coupon{big, small, several, member, sibling}
	b.create(t, all...)
	w, _ := b.writer(t)
	want := make(map[int64]map[string]coupon.Place)
	var places []coupon.Place
	places = append(places, manyPlaces(big, 2100)...)
	for u := range 350 {
		for n := range 3 {
			places = append(places, place(several, fmt.Sprintf("v%03d", u), int64(u*3+n+1), nth(n+1), key(fmt.Sprint("k", n))))
		}
	}
	places = append(places, place(small, "x", 1), place(member, "x", 1), place(sibling, "y", 1))
	require.NoError(t, w.Write(t.Context(), records(0, places...)))
	b.exec(t, "UPDATE issues SET status = 'revoked' WHERE coupon_id = ? AND user_id = 'x'", small.ID)
	b.exec(t, "UPDATE issues SET status = 'used' WHERE coupon_id = ?", member.ID)
	b.change(t, small, setState(coupon.StatePaused)) // taken, not applied
	for _, p := range places {
		p.Revoked = p.CouponID == small.ID
		if want[p.CouponID] == nil {
			want[p.CouponID] = make(map[string]coupon.Place)
		}
		want[p.CouponID][fmt.Sprint(p.UserID, "/", p.Nth)] = p
	}

	got := make(map[int64]map[string]coupon.Place)
	told := make(map[int64]coupon.Coupon)
	tags := []string{big.Tag(), small.Tag(), several.Tag(), member.Tag(), "c0", big.Tag()}
	require.NoError(t, b.book.LoadTags(t.Context(), tags, func(list []coupon.Coupon) error {
		for _, c := range list {
			require.NotContains(t, told, c.ID, "once")
			told[c.ID] = c
		}
		return nil
	}, func(ref coupon.Ref, rows []coupon.Place) error {
		require.Contains(t, told, ref.CouponID, "a coupon is told before its rows")
		require.NotEmpty(t, rows)
		require.LessOrEqual(t, len(rows), 1000)
		if ref.EventID != 0 {
			require.Len(t, ref.Siblings, 2)
		}
		for _, p := range rows {
			if got[p.CouponID] == nil {
				got[p.CouponID] = make(map[string]coupon.Place)
			}
			name := fmt.Sprint(p.UserID, "/", p.Nth)
			if _, twice := got[p.CouponID][name]; twice || p.CouponID != ref.CouponID {
				t.Errorf("%s of coupon %d is told twice, or as of coupon %d", name, p.CouponID, ref.CouponID)
			}
			got[p.CouponID][name] = p
		}
		return nil
	}))
	require.Len(t, told, len(all))
	require.True(t, reflect.DeepEqual(want, got), "all rows, as they are")
	require.Zero(t, told[small.ID].Applied, "the terms and the revision that they are of")
	require.Equal(t, coupon.StateOpen, told[small.ID].State)
	require.EqualValues(t, 2100, told[big.ID].IssuedCount)

	alone := 0 // 1050 rows, and the first page ends between the places of one user
	require.NoError(t, b.book.LoadTags(t.Context(), []string{several.Tag()}, func([]coupon.Coupon) error { return nil },
		func(_ coupon.Ref, rows []coupon.Place) error {
			alone += len(rows)
			return nil
		}))
	require.Equal(t, 1050, alone)
}

// Every batch writes as many rows of one coupon as of the other: a load that sees half of one is no snapshot.
func loadSnapshot(t *testing.T, b desk) {
	vendor := b.vendor(t)
	one, two := draft(vendor), draft(vendor)
	b.create(t, one, two)
	w, _ := b.writer(t)
	write := func(n int) error {
		var places []coupon.Place
		for i := range 105 {
			seq := int64(n*105 + i + 1)
			places = append(places, place(one, fmt.Sprintf("u%d", seq), seq), place(two, fmt.Sprintf("u%d", seq), seq))
		}
		return w.Write(t.Context(), records(int64(n*210), places...))
	}
	next := 0
	for ; next < 10; next++ {
		require.NoError(t, write(next))
	}
	for range 2 {
		counts, told := make(map[int64]int64), make(map[int64]int64)
		require.NoError(t, b.book.LoadTags(t.Context(), []string{one.Tag(), two.Tag()}, func(list []coupon.Coupon) error {
			for _, c := range list {
				told[c.ID] = c.IssuedCount
			}
			next++
			return write(next)
		}, func(ref coupon.Ref, rows []coupon.Place) error {
			counts[ref.CouponID] += int64(len(rows))
			next++
			return write(next)
		}))
		require.Equal(t, counts[one.ID], counts[two.ID])
		require.Equal(t, told, counts, "the counters, too")
		require.GreaterOrEqual(t, counts[one.ID], int64(1050))
	}
	b.requireRows(t, one, b.count(t, "SELECT issued_count FROM coupons WHERE id = ?", two.ID))
}

func loadEnds(t *testing.T, b desk) {
	c := b.publish(t)
	w, _ := b.writer(t)
	require.NoError(t, w.Write(t.Context(), records(0, place(c, "u", 1))))
	stop := errors.New("stop")
	none := func(coupon.Ref, []coupon.Place) error { return nil }
	require.ErrorIs(t, b.book.LoadTags(t.Context(), []string{c.Tag()}, func([]coupon.Coupon) error { return stop }, none), stop)
	require.ErrorIs(t, b.book.LoadTags(t.Context(), []string{c.Tag()}, func([]coupon.Coupon) error { return nil },
		func(coupon.Ref, []coupon.Place) error { return stop }), stop)
	require.NoError(t, b.book.LoadTags(t.Context(), nil, func([]coupon.Coupon) error { return stop }, none))
}

func loadLeavesSession(t *testing.T, b desk) {
	if b.file {
		t.Skip("SQLite has no sessions")
	}
	b = b.own(t)
	c := b.publish(t)
	b.book.SQL().SetMaxOpenConns(1)
	stop := errors.New("stop")
	for _, err := range []error{nil, stop} {
		require.ErrorIs(t, b.book.LoadTags(t.Context(), []string{c.Tag()}, func([]coupon.Coupon) error { return err },
			func(coupon.Ref, []coupon.Place) error { return nil }), err)
		require.EqualValues(t, 5, b.count(t, "SELECT @@wait_timeout"))
	}
}

// seenOfTopic: the book of the suite is shared, so what it knows is compared by partitions that no other test has.
func seenOfTopic(t *testing.T, b desk) {
	c := b.publish(t)
	const one, two, three = 9001, 9002, 9003
	marks, err := b.book.BumpEpochs(t.Context(), []string{c.Tag()}, "one", time.Minute, false)
	require.NoError(t, err)
	_, err = b.book.StoreBarriers(t.Context(), marks, map[int32]int64{one: 7, two: 3, three: 0})
	require.NoError(t, err)
	marks, err = b.book.BumpEpochs(t.Context(), []string{c.Tag()}, "one", time.Minute, true)
	require.NoError(t, err)
	_, err = b.book.StoreBarriers(t.Context(), marks, map[int32]int64{one: 5, two: 4, three: 0})
	require.NoError(t, err)
	w, topic := b.writer(t)
	seen, err := b.book.Seen(t.Context(), topic)
	require.NoError(t, err)
	require.EqualValues(t, []int64{7, 4, 0}, []int64{seen[one], seen[two], seen[three]})

	require.NoError(t, w.Write(t.Context(), []ledger.Record{{Partition: two, Offset: 20, Broken: errors.New("broken"), Reason: coupon.FailUndecodable}}))
	seen, err = b.book.Seen(t.Context(), topic)
	require.NoError(t, err)
	require.EqualValues(t, 21, seen[two])
	seen, err = b.book.Seen(t.Context(), "another")
	require.NoError(t, err)
	require.EqualValues(t, 4, seen[two], "failed events name their topic")
}
