package admission_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
	"github.com/firstcome/firstcome/core/coupon"
)

func TestAJournalThatFailsIsUnknownAndThePlaceIsKept(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 1))
	s.journal.set(func(j *journal) { j.fails = true })
	_, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.ErrorIs(t, err, errKafkaDown)
	require.NotErrorIs(t, err, coupon.ErrUnsound)
	view := s.view(7)
	require.EqualValues(t, 1, view.Taken, "nothing is undone")
	require.EqualValues(t, 1, view.Pending)
	other, err := s.desk.Claim(t.Context(), 7, "bob", "")
	require.NoError(t, err)
	require.Equal(t, coupon.SoldOut, other.Verdict, "the place is alice's")

	s.journal.set(func(j *journal) { j.fails = false })
	again, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.NoError(t, err)
	require.Equal(t, coupon.Pending, again.Verdict)
	require.False(t, again.Again, "202: promised for the first time")
	require.EqualValues(t, 1, again.Place.Seq)
	require.Equal(t, []coupon.Place{again.Place}, s.journal.all())
	require.Zero(t, s.view(7).Pending)
}

func TestWhatTheJournalFindsMalformedIsNotTheCallersMistake(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 1))
	s.journal.set(func(j *journal) { j.malformed = func(coupon.Place) bool { return true } })
	_, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.ErrorContains(t, err, "accepted_at: is not a time")
	var field *coupon.FieldError
	require.NotErrorAs(t, err, &field, "it would be answered as a refusal, and alice has a place")
	require.EqualValues(t, 1, s.view(7).Pending)
}

func TestALostAcknowledgementIsUnknownAndTheRetryGetsTheSamePlace(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 1))
	s.journal.set(func(j *journal) { j.loses = func(n int, _ coupon.Place) bool { return n == 0 } })
	_, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.ErrorIs(t, err, errKafkaDown)
	out, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.NoError(t, err)
	require.Equal(t, []coupon.Place{out.Place, out.Place}, s.journal.all(), "a duplicate of the same place, nothing else")
}

func TestALostAnswerOfTheGateIsUnknownAndTheRetryGetsThePlace(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 1))
	s.gate.set(func(g *tap) { g.loseAdmits = 1 })
	_, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.ErrorContains(t, err, "i/o timeout")
	require.NotErrorIs(t, err, coupon.ErrUnsound)
	require.Empty(t, s.reported(), "no reason for a rebuild")
	out, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.NoError(t, err)
	require.EqualValues(t, 1, out.Place.Seq)
	require.EqualValues(t, 1, s.view(7).Taken)
}

func TestALateAcknowledgementIsStillConfirmedWithItsOwnSeqAndEpoch(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, s *shop) {
		s.publish(sale(7, 1))
		wake := s.journal.sleep()
		began := time.Now()
		_, err := s.desk.Claim(t.Context(), 7, "alice", "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, admission.DefaultAnswerTimeout, time.Since(began), "answered in time")
		require.EqualValues(t, 1, s.view(7).Pending)
		elapse(10 * time.Second)
		wake()
		synctest.Wait()
		require.Zero(t, s.view(7).Pending)
		s.gate.set(func(g *tap) {
			require.Len(t, g.confirms, 1)
			require.EqualValues(t, 1, g.confirms[0].Seq)
			require.EqualValues(t, 1, g.confirms[0].Epoch)
		})
		again, err := s.desk.Claim(t.Context(), 7, "alice", "")
		require.NoError(t, err)
		require.True(t, again.Again)
		require.Len(t, s.journal.all(), 1)
	})
}

func TestEveryClaimIsAnsweredInTimeAndHasMostOfIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 0))
		s.journal.sleep()
		var all sync.WaitGroup
		for i := range 50 { // one each 10 ms, so that several share a deadline and several do not
			all.Go(func() {
				began := time.Now()
				_, err := s.desk.Claim(t.Context(), 7, fmt.Sprint("u", i), "")
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.LessOrEqual(t, time.Since(began), admission.DefaultAnswerTimeout)
				assert.GreaterOrEqual(t, time.Since(began), admission.DefaultAnswerTimeout*95/100)
			})
			elapse(10 * time.Millisecond)
		}
		all.Wait()
	})
}

func TestALateAcknowledgementSettlesNothingAfterARebuild(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 1))
		wake := s.journal.sleep()
		_, err := s.desk.Claim(t.Context(), 7, "alice", "")
		require.Error(t, err)
		s.rebuild(2, nil, sale(7, 1))
		_, err = s.desk.Claim(t.Context(), 7, "alice", "")
		require.Error(t, err, "admitted again, same number, next epoch; the journal still sleeps")
		s.journal.set(func(j *journal) { // only the record of the old epoch is acknowledged
			j.loses = func(_ int, p coupon.Place) bool { return p.Epoch == 2 }
		})
		wake()
		synctest.Wait()
		require.Len(t, s.journal.all(), 2)
		s.gate.set(func(g *tap) {
			require.Len(t, g.confirms, 1)
			require.EqualValues(t, 1, g.confirms[0].Epoch)
		})
		require.EqualValues(t, 1, s.view(7).Pending, "an old record's word does not settle the new place")
	})
}

func TestALateJourneyEndsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.publish(sale(7, 1))
		s.journal.sleep()
		_, err := s.desk.Claim(t.Context(), 7, "alice", "")
		require.Error(t, err)
		began := time.Now()
		s.close() // waits for the journey
		require.Less(t, time.Since(began), 30*time.Second)
	})
}

func TestACallerWhoGivesUpLeavesTheJourneyGoing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.publish(sale(7, 1))
		s.journal.set(func(j *journal) { j.took = 100 * time.Millisecond })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel) // the browser was closed
		_, err := s.desk.Claim(ctx, 7, "alice", "")
		require.ErrorIs(t, err, context.Canceled)
		elapse(time.Second)
		require.Len(t, s.journal.all(), 1)
		require.Zero(t, s.view(7).Pending)
	})
}

func TestARebuildBetweenAppendAndConfirmIsNeverAPromise(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string][]coupon.Place{
		"the place is gone":                     nil,
		"the user has the same number again":    {{CouponID: 7, UserID: "alice", Nth: 1, Seq: 1, AcceptedAt: time.Now()}},
		"somebody else has the user's place":    {{CouponID: 7, UserID: "bob", Nth: 1, Seq: 1, AcceptedAt: time.Now()}},
		"the user has another number than then": {{CouponID: 7, UserID: "alice", Nth: 1, Seq: 5, AcceptedAt: time.Now()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(t *testing.T, s *shop) {
				s.publish(sale(7, 1))
				s.gate.set(func(g *tap) {
					g.beforeConfirm = sync.OnceFunc(func() { s.rebuild(2, rows, sale(7, 1)) })
				})
				_, err := s.desk.Claim(t.Context(), 7, "alice", "")
				require.ErrorIs(t, err, admission.ErrUnconfirmed)
				require.Len(t, s.journal.all(), 1, "of epoch 1: the barrier decides what becomes of it")
				require.Empty(t, s.reported())
			})
		})
	}
}

func TestAGateLostBetweenAppendAndConfirmIsReported(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 1))
	s.gate.set(func(g *tap) { g.beforeConfirm = func() { s.mem.Flush("") } })
	_, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.ErrorIs(t, err, coupon.ErrUnsound)
	require.Equal(t, []coupon.UnsoundError{{Tag: "c7", Why: coupon.WhyNoGate}}, s.reported())
}

func TestAnUnsoundGateDecidesNothingAndIsReported(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 5))
	s.publish(sale(8, 5))
	_, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.NoError(t, err)
	s.mem.Flush("c7")
	_, err = s.desk.Claim(t.Context(), 7, "alice", "")
	require.ErrorIs(t, err, coupon.ErrUnsound, "holders too")
	require.Equal(t, []coupon.UnsoundError{{Tag: "c7", Why: coupon.WhyNoGate}}, s.reported())
	_, err = s.desk.Claim(t.Context(), 8, "alice", "")
	require.NoError(t, err, "the others go on")
}

func TestAGateThatCannotBeReachedIsUnknown(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 5))
	s.gate.set(func(g *tap) { g.down = errors.New("connection refused") })
	_, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.ErrorContains(t, err, "connection refused")
	require.NotErrorIs(t, err, coupon.ErrUnsound)
	require.Empty(t, s.reported())
}

// Any mix of failures: a place is promised only if it is in the journal, nobody has two numbers, the total holds.
func TestWhateverTheJournalDoesAPromiseIsInIt(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 100))
	s.journal.set(func(j *journal) {
		j.loses = func(n int, _ coupon.Place) bool { return n%3 == 0 }
		j.drops = func(n int, _ coupon.Place) bool { return n%3 == 1 }
	})
	var mu sync.Mutex
	promised := map[string]coupon.Place{}
	var crowd sync.WaitGroup
	for i := range 200 {
		crowd.Go(func() {
			for range 4 {
				out, err := s.desk.Claim(t.Context(), 7, fmt.Sprint("u", i), "")
				if err != nil || !out.Verdict.Place() {
					continue
				}
				mu.Lock()
				if before, ok := promised[out.Place.UserID]; ok {
					assert.Equal(t, before, out.Place)
				}
				promised[out.Place.UserID] = out.Place
				mu.Unlock()
			}
		})
	}
	crowd.Wait()
	require.EqualValues(t, 100, s.view(7).Taken)
	require.NotEmpty(t, promised)
	for user, place := range promised {
		require.Contains(t, s.journal.of(user), place)
	}
}
