package admission_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

func TestAnAnsweredClaimIsInTheJournalAndSettled(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 10))
	out, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.NoError(t, err)
	require.Equal(t, coupon.Admitted, out.Verdict)
	require.False(t, out.Again)
	require.Equal(t, coupon.Place{CouponID: 7, UserID: "alice", Nth: 1, Seq: 1, Epoch: 1, AcceptedAt: out.AcceptedAt}, out.Place)
	require.False(t, out.Now.IsZero())
	require.Equal(t, []coupon.Place{out.Place}, s.journal.all())
	require.Zero(t, s.view(7).Pending, "confirmed")
}

func TestTheSameUserGetsTheSameReceipt(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 2))
	first, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.NoError(t, err)
	other, err := s.desk.Claim(t.Context(), 7, "Alice", "")
	require.NoError(t, err)
	require.EqualValues(t, 2, other.Place.Seq, "alice and Alice are two users")
	again, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.NoError(t, err, "sold out for everybody else by now")
	require.True(t, again.Again)
	require.Equal(t, coupon.Holder, again.Verdict)
	require.Equal(t, first.Place, again.Place)
	require.Len(t, s.journal.all(), 2, "rule 6: nothing is journaled again")
}

func TestARefusalIsAValueAndTouchesNoJournal(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	later := sale(8, 1)
	later.OpensAt = time.Now().Add(time.Hour).Truncate(time.Microsecond)
	s.publish(sale(7, 1))
	s.publish(later)
	_, err := s.desk.Claim(t.Context(), 7, "winner", "")
	require.NoError(t, err)
	out, err := s.desk.Claim(t.Context(), 7, "loser", "")
	require.NoError(t, err)
	require.Equal(t, coupon.SoldOut, out.Verdict)
	require.Zero(t, out.Place)
	out, err = s.desk.Claim(t.Context(), 8, "early", "")
	require.NoError(t, err)
	require.Equal(t, coupon.NotOpen, out.Verdict)
	require.True(t, later.OpensAt.Equal(out.OpensAt))
	require.True(t, out.Now.Before(out.OpensAt))
	require.Len(t, s.journal.all(), 1)
}

func TestAnUnknownCouponAndAnUnknownLedgerAreTwoThings(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	_, err := s.desk.Claim(t.Context(), 404, "alice", "")
	require.ErrorIs(t, err, coupon.ErrNotFound)
	s.book.set(func(b *book) { b.err = errors.New("connection refused") })
	_, err = s.desk.Claim(t.Context(), 404, "alice", "")
	require.Error(t, err)
	require.NotErrorIs(t, err, coupon.ErrNotFound)
}

func TestAKeyNamesTheClaimWhereAUserMayHaveSeveral(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	several := sale(7, 10)
	several.PerUserLimit = 2
	s.publish(several)
	for _, bad := range []string{"", "a b", "schlüssel", string(make([]byte, 65))} {
		_, err := s.desk.Claim(t.Context(), 7, "alice", bad)
		var field *coupon.FieldError
		require.ErrorAs(t, err, &field, "key %q", bad)
		require.Equal(t, "Idempotency-Key", field.Field)
	}
	require.Empty(t, s.journal.all())
	one, err := s.desk.Claim(t.Context(), 7, "alice", "k1")
	require.NoError(t, err)
	require.Equal(t, "k1", one.Place.Key, "the key travels in the record")
	two, err := s.desk.Claim(t.Context(), 7, "alice", "k2")
	require.NoError(t, err)
	require.Equal(t, 2, two.Place.Nth)
	again, err := s.desk.Claim(t.Context(), 7, "alice", "k1")
	require.NoError(t, err)
	require.Equal(t, one.Place, again.Place)
	over, err := s.desk.Claim(t.Context(), 7, "alice", "k3")
	require.NoError(t, err)
	require.Equal(t, coupon.UserLimit, over.Verdict)
}

func TestAKeyIsIgnoredWhereTheUserAloneNamesTheClaim(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 10))
	one, err := s.desk.Claim(t.Context(), 7, "alice", "not a key")
	require.NoError(t, err)
	require.Empty(t, one.Place.Key)
	again, err := s.desk.Claim(t.Context(), 7, "alice", "another")
	require.NoError(t, err)
	require.Equal(t, one.Place, again.Place)
}

func TestAMalformedUserDoesNotHurtItsNeighbours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 0))
		hold := make(chan struct{})
		s.gate.set(func(g *tap) { g.beforeAdmit = func() { <-hold } })
		var all sync.WaitGroup
		for _, user := range []string{"first", "a\x1fb", "", "schön", "good"} {
			all.Go(func() {
				_, err := s.desk.Claim(t.Context(), 7, user, "")
				if coupon.ValidUserID(user) {
					assert.NoError(t, err)
					return
				}
				var field *coupon.FieldError
				assert.ErrorAs(t, err, &field)
			})
			synctest.Wait()
		}
		close(hold)
		all.Wait()
	})
}

func TestACrowdGetsExactlyTheTotalWithNumbersAllDifferent(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	totals := map[int64]int64{7: 300, 8: 50, 9: 1}
	for id, total := range totals {
		s.publish(sale(id, total))
	}
	var mu sync.Mutex
	receipts := map[int64]map[int64]string{7: {}, 8: {}, 9: {}} // coupon -> seq -> user
	var crowd sync.WaitGroup
	for i := range 1500 {
		crowd.Go(func() {
			id, user := []int64{7, 8, 9}[i%3], fmt.Sprint("u", i/2) // neighbours of the same coupon ask twice
			out, err := s.desk.Claim(t.Context(), id, user, "")
			if !assert.NoError(t, err) || !out.Verdict.Place() {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if holder, taken := receipts[id][out.Place.Seq]; taken {
				assert.Equal(t, holder, user, "a number belongs to one user")
			}
			receipts[id][out.Place.Seq] = user
		})
	}
	crowd.Wait()
	journaled := map[int64]map[int64]string{7: {}, 8: {}, 9: {}}
	for _, p := range s.journal.all() {
		journaled[p.CouponID][p.Seq] = p.UserID
	}
	for id, total := range totals {
		require.EqualValues(t, total, len(receipts[id]), "coupon %d", id)
		require.Equal(t, receipts[id], journaled[id])
		require.Zero(t, s.view(id).Pending)
	}
}

func TestOnlyOneGroupIsInFlightInEachDirection(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 0))
	var crowd sync.WaitGroup
	for i := range 1000 {
		crowd.Go(func() {
			_, err := s.desk.Claim(t.Context(), 7, fmt.Sprint("u", i), "")
			assert.NoError(t, err)
		})
	}
	crowd.Wait()
	s.gate.set(func(g *tap) {
		require.Equal(t, 1, g.mostAdmits)
		require.Equal(t, 1, g.mostConfirm)
		for _, group := range g.groups {
			for _, call := range group {
				require.LessOrEqual(t, len(call.Asks), admission.MaxBatch)
			}
		}
	})
}

func TestNobodyWaitsForATimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 0))
		began := time.Now()
		for i := range 100 {
			_, err := s.desk.Claim(t.Context(), 7, fmt.Sprint("u", i), "")
			require.NoError(t, err)
		}
		require.Zero(t, time.Since(began))
	})
}

func TestClaimsAreAskedInOrderOfArrivalSideBySidePerCoupon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 0))
		s.publish(sale(8, 0))
		hold := make(chan struct{})
		s.gate.set(func(g *tap) { g.beforeAdmit = func() { <-hold } })
		var crowd sync.WaitGroup
		for i := range 301 {
			crowd.Go(func() {
				out, err := s.desk.Claim(t.Context(), 7+int64(i%3%2), fmt.Sprintf("u%03d", i), "")
				assert.NoError(t, err)
				assert.Equal(t, fmt.Sprintf("u%03d", i), out.Place.UserID)
			})
			synctest.Wait()
		}
		close(hold)
		crowd.Wait()
		s.gate.set(func(g *tap) {
			require.Len(t, g.groups, 2, "the first alone, then all that came in meanwhile in one pipeline")
			require.Len(t, g.groups[1], 3, "two calls for 200 users of one coupon, one for 100 of the other")
			last := map[int64]string{}
			for _, call := range g.groups[1] {
				for _, ask := range call.Asks {
					require.Greater(t, ask.UserID, last[call.Ref.CouponID])
					last[call.Ref.CouponID] = ask.UserID
				}
			}
		})
	})
}

func TestABatchIsAsLargeAsConfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.close()
		hold := make(chan struct{})
		s.gate.set(func(g *tap) { g.beforeAdmit = func() { <-hold } })
		s.desk = admission.NewDesk(admission.DeskDeps{
			Gate: s.gate, Journal: s.journal, Sender: s.journal, Refs: s.book, OnUnsound: s.onUnsound, Log: slog.New(slog.DiscardHandler),
			Registerer: prometheus.NewRegistry(), Queue: 5, Batch: 2,
		})
		defer s.close()
		s.publish(sale(7, 0))
		var busy atomic.Int64
		var all sync.WaitGroup
		for i := range 7 {
			all.Go(func() {
				if _, err := s.desk.Claim(t.Context(), 7, fmt.Sprint("u", i), ""); errors.Is(err, admission.ErrBusy) {
					busy.Add(1)
				}
			})
			synctest.Wait()
		}
		close(hold)
		all.Wait()
		require.EqualValues(t, 1, busy.Load(), "one in flight and five waiting")
		s.gate.set(func(g *tap) {
			require.Len(t, g.groups[1], 3)
			for _, call := range g.groups[1] {
				require.LessOrEqual(t, len(call.Asks), 2)
			}
		})
	})
}

func TestTheCallersTraceReachesTheJournal(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 0))
	_, err := s.desk.Claim(context.WithValue(t.Context(), traceKey{}, "span-1"), 7, "alice", "")
	require.NoError(t, err)
	s.journal.set(func(j *journal) { require.Equal(t, []any{"span-1"}, j.values) })
}
