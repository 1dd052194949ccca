package admission_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/admission"
)

// crowd lets n users claim coupon 7 and returns how many were answered busy, and a wait for all of them.
func crowd(t *testing.T, s *shop, n int) (busy *atomic.Int64, all *sync.WaitGroup) {
	busy, all = new(atomic.Int64), new(sync.WaitGroup)
	for i := range n {
		all.Go(func() {
			began := time.Now()
			_, err := s.desk.Claim(t.Context(), 7, fmt.Sprint("u", i), "")
			if errors.Is(err, admission.ErrBusy) {
				assert.Zero(t, time.Since(began), "at once")
				busy.Add(1)
			}
		})
	}
	return busy, all
}

func TestAGateThatSleepsFillsTheQueueAndTheRestIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.publish(sale(7, 1))
		wake := make(chan struct{})
		s.gate.set(func(g *tap) { g.beforeAdmit = func() { <-wake } })
		busy, all := crowd(t, s, 9000)
		synctest.Wait()
		require.GreaterOrEqual(t, busy.Load(), int64(9000-admission.DefaultQueue-512), "8192 wait, up to 512 are in flight")
		require.Less(t, busy.Load(), int64(9000-admission.DefaultQueue))
		began := time.Now()
		all.Wait()
		require.Equal(t, admission.DefaultAnswerTimeout, time.Since(began), "the others when their time is over")
		close(wake)
		s.close()
	})
}

func TestAJournalThatSleepsBoundsThePlacesOnTheirWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.publish(sale(7, 0))
		wake := s.journal.sleep()
		busy, all := crowd(t, s, 8500)
		synctest.Wait()
		require.EqualValues(t, 8500-8192, busy.Load())
		require.EqualValues(t, 8500, s.view(7).Taken, "who was busy keeps the place all the same")
		wake()
		all.Wait()
		out, err := s.desk.Claim(t.Context(), 7, "one-more", "")
		require.NoError(t, err, "there is room again")
		require.EqualValues(t, 8501, out.Place.Seq)
		s.close()
	})
}

func TestShutdownAnswersWhatItTook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.publish(sale(7, 0))
		s.journal.set(func(j *journal) { j.took = 500 * time.Millisecond })
		var answered atomic.Int64
		for i := range 700 {
			go func() {
				if _, err := s.desk.Claim(t.Context(), 7, fmt.Sprint("u", i), ""); err == nil {
					answered.Add(1)
				}
			}()
		}
		synctest.Wait()
		s.close()
		synctest.Wait()
		require.EqualValues(t, 700, answered.Load())
		_, err := s.desk.Claim(t.Context(), 7, "late", "")
		require.ErrorIs(t, err, admission.ErrBusy)
		require.NoError(t, s.desk.Close(t.Context()), "closing twice is allowed")
	})
}

func TestShutdownDoesNotWaitLongerThanItMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.publish(sale(7, 0))
		wake := s.journal.sleep()
		for _, user := range []string{"alice", "bob"} { // one sent, one that waits for the journal itself
			_, err := s.desk.Claim(t.Context(), 7, user, "")
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.desk.Close(ctx)
		require.ErrorContains(t, err, "with 2 places on their way")
		wake()          // the journal is closed after the desk, and settles what it took
		synctest.Wait() // the journeys have ended: the bubble would not end otherwise
		require.EqualValues(t, 1, s.view(7).Pending, "for the sweeper of another instance")
	})
}
