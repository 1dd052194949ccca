package admission_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

// event returns coupons of event 5.
func event(ids ...int64) []coupon.Coupon {
	coupons := make([]coupon.Coupon, len(ids))
	for i, id := range ids {
		coupons[i] = sale(id, 100)
		coupons[i].EventID = 5
	}
	return coupons
}

// join adds a coupon to the open gate of its event, which this instance does not know of yet (rule 29).
func (s *shop) join(c coupon.Coupon, siblings ...int64) {
	require.NoError(s.t, s.mem.Join(s.t.Context(), coupon.OpeningCoupon{Ref: c.Ref(siblings), Terms: c.Terms}, 1))
	s.book.set(func(b *book) {
		for _, id := range siblings {
			row := b.rows[id]
			if id == c.ID {
				row = c.Ref(nil)
			}
			row.Siblings = siblings
			b.rows[id] = row
		}
	})
}

func TestACouponThatJoinedIsLookedUpOnceAndIsNoReasonForARebuild(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(event(7, 8)...)
	s.join(event(9)[0], 7, 8, 9)
	out, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.NoError(t, err)
	require.EqualValues(t, 1, out.Place.Seq)
	require.Empty(t, s.reported())
	_, err = s.desk.Claim(t.Context(), 7, "bob", "")
	require.NoError(t, err)
	s.book.set(func(b *book) { require.Equal(t, 1, b.refreshes) })
}

func TestACouponThatJoinsBetweenGateAndConfirmDoesNotBreakThePromise(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(event(7, 8)...)
	s.gate.set(func(g *tap) {
		g.beforeConfirm = sync.OnceFunc(func() { s.join(event(9)[0], 7, 8, 9) })
	})
	_, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.NoError(t, err)
	require.Empty(t, s.reported())
	require.Zero(t, s.view(7).Pending)
}

func TestAnOlderLookInTheGroupDoesNotSpoilANewerOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(6, 0))
		s.publish(event(7, 8)...)
		hold := make(chan struct{})
		s.gate.set(func(g *tap) { g.beforeAdmit = func() { <-hold } })
		var all sync.WaitGroup
		claim := func(couponID int64, user string) {
			all.Go(func() {
				_, err := s.desk.Claim(t.Context(), couponID, user, "")
				assert.NoError(t, err)
			})
			synctest.Wait()
		}
		claim(6, "first") // keeps the gate busy while the group forms
		claim(7, "older")
		s.join(event(9)[0], 7, 8, 9)
		s.book.set(func(b *book) { b.remembered[7] = b.rows[7] })
		claim(7, "newer")
		close(hold)
		all.Wait()
		s.book.set(func(b *book) { require.Zero(t, b.refreshes) })
	})
}

func TestACrowdSharesTheLookAtTheSiblings(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(event(7, 8)...)
	s.join(event(9)[0], 7, 8, 9)
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			_, err := s.desk.Claim(t.Context(), 7+int64(i%2), fmt.Sprint("u", i), "")
			assert.NoError(t, err)
		})
	}
	all.Wait()
	require.Empty(t, s.reported())
	s.book.set(func(b *book) { require.Less(t, b.refreshes, 30) })
}

func TestSiblingsThatTheLedgerDoesNotKnowEitherAreReported(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(event(7, 8)...)
	c := event(9)[0]
	require.NoError(t, s.mem.Join(t.Context(), coupon.OpeningCoupon{Ref: c.Ref([]int64{7, 8, 9}), Terms: c.Terms}, 1))
	_, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.ErrorIs(t, err, coupon.ErrUnsound)
	require.Equal(t, []coupon.UnsoundError{{Tag: "e5", Why: coupon.WhyCoupons}}, s.reported(), "after one fresh look")
	s.book.set(func(b *book) { require.Equal(t, 1, b.refreshes) })
}
