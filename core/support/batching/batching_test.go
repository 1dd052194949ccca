package batching_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/core/support/batching"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var small = batching.Options{Max: 4, Queue: 8, Workers: 1, Timeout: time.Second}

// answerAll answers each question with itself plus one.
func answerAll(qs []int) []batching.Result[int] {
	results := make([]batching.Result[int], len(qs))
	for i, q := range qs {
		results[i].Answer = q + 1
	}
	return results
}

// held runs calls that each wait until they are let go.
type held struct {
	entered chan []int    // the questions of a call that began
	letGo   chan struct{} // one for each call that may end
}

func newHeld() *held { return &held{entered: make(chan []int, 100), letGo: make(chan struct{}, 100)} }

func (h *held) run(_ context.Context, qs []int) []batching.Result[int] {
	h.entered <- append([]int(nil), qs...)
	<-h.letGo
	return answerAll(qs)
}

func TestALoneQuestionIsAskedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := batching.New(func(_ context.Context, qs []int) []batching.Result[int] { return answerAll(qs) }, small)
		defer b.Close()
		began := time.Now()
		got, err := b.Do(t.Context(), 41)
		require.NoError(t, err)
		require.Equal(t, 42, got)
		require.Zero(t, time.Since(began), "nobody waits for a timer")
	})
}

func TestWhatCameInDuringACallIsTheNextCallInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		b := batching.New(h.run, small)
		var askers sync.WaitGroup
		for q := range 8 {
			askers.Go(func() {
				got, err := b.Do(t.Context(), q)
				assert.NoError(t, err)
				assert.Equal(t, q+1, got, "each gets its own answer")
			})
			synctest.Wait()
		}
		require.Equal(t, 7, b.Waiting())
		require.Equal(t, []int{0}, <-h.entered)
		h.letGo <- struct{}{}
		require.Equal(t, []int{1, 2, 3, 4}, <-h.entered, "at most Max")
		h.letGo <- struct{}{}
		require.Equal(t, []int{5, 6, 7}, <-h.entered)
		h.letGo <- struct{}{}
		askers.Wait()
		b.Close()
	})
}

func TestAtMostWorkersCallsAreInFlight(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 3} {
		var inFlight, most atomic.Int32
		b := batching.New(func(_ context.Context, qs []int) []batching.Result[int] {
			now := inFlight.Add(1)
			defer inFlight.Add(-1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
				continue
			}
			return answerAll(qs)
		}, batching.Options{Max: 3, Queue: 1000, Workers: workers, Timeout: time.Second})
		var askers sync.WaitGroup
		for q := range 500 {
			askers.Go(func() {
				got, err := b.Do(t.Context(), q)
				assert.NoError(t, err)
				assert.Equal(t, q+1, got)
			})
		}
		askers.Wait()
		b.Close()
		require.LessOrEqual(t, int(most.Load()), workers)
	}
}

func TestSeveralWorkersAllFindWork(t *testing.T) {
	t.Parallel()
	const workers, rounds = 3, 2000
	var meeting atomic.Pointer[sync.WaitGroup]
	b := batching.New(func(_ context.Context, qs []int) []batching.Result[int] {
		meeting.Load().Done()
		meeting.Load().Wait() // a call ends when three are in flight: a worker that sleeps through a question stops it all
		return answerAll(qs)
	}, batching.Options{Max: 1, Queue: workers, Workers: workers, Timeout: time.Second})
	defer b.Close()
	for range rounds {
		var all, askers sync.WaitGroup
		all.Add(workers)
		meeting.Store(&all)
		for q := range workers {
			askers.Go(func() {
				_, err := b.Do(t.Context(), q)
				assert.NoError(t, err)
			})
		}
		askers.Wait()
	}
}

func TestAFullQueueAnswersAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		b := batching.New(h.run, small)
		var askers sync.WaitGroup
		for q := range 1 + small.Queue {
			askers.Go(func() {
				_, err := b.Do(t.Context(), q)
				assert.NoError(t, err)
			})
			synctest.Wait()
		}
		_, err := b.Do(t.Context(), 99)
		require.ErrorIs(t, err, batching.ErrFull)
		for range 3 {
			h.letGo <- struct{}{}
		}
		askers.Wait()
		h.letGo <- struct{}{}
		_, err = b.Do(t.Context(), 100)
		require.NoError(t, err, "there is room again")
		b.Close()
	})
}

func TestAnAskerWhoseTimeIsOverGoesAndIsNotAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		b := batching.New(h.run, small)
		var askers sync.WaitGroup
		askers.Go(func() {
			_, err := b.Do(t.Context(), 0)
			assert.NoError(t, err)
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := b.Do(ctx, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		askers.Go(func() {
			got, err := b.Do(t.Context(), 2)
			assert.NoError(t, err)
			assert.Equal(t, 3, got, "the answer of the one who went goes to nobody else")
		})
		synctest.Wait()
		h.letGo <- struct{}{}
		h.letGo <- struct{}{}
		askers.Wait()
		require.Equal(t, []int{0}, <-h.entered)
		require.Equal(t, []int{2}, <-h.entered)
		b.Close()
	})
}

func TestASharedDeadlineEndsAQuestionLikeItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		b := batching.New(h.run, small)
		by, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var askers sync.WaitGroup
		for q := range 3 {
			askers.Go(func() {
				_, err := b.DoBy(t.Context(), by, q)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			})
			synctest.Wait()
		}
		askers.Wait()
		h.letGo <- struct{}{}
		h.letGo <- struct{}{}
		got, err := b.DoBy(t.Context(), t.Context(), 41)
		require.NoError(t, err)
		require.Equal(t, 42, got)
		require.Equal(t, []int{0}, <-h.entered)
		require.Equal(t, []int{41}, <-h.entered, "1 and 2 were not asked any more")
		b.Close()
	})
}

func TestAnAskerInFlightWhoseTimeIsOverDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		b := batching.New(h.run, small)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := b.Do(ctx, 0)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		h.letGo <- struct{}{}
		h.letGo <- struct{}{}
		got, err := b.Do(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, 2, got)
		b.Close()
	})
}

func TestACallMayTakeTimeoutOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := batching.New(func(ctx context.Context, qs []int) []batching.Result[int] {
			<-ctx.Done()
			return []batching.Result[int]{{Err: ctx.Err()}}
		}, small)
		defer b.Close()
		began := time.Now()
		_, err := b.Do(t.Context(), 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, small.Timeout, time.Since(began))
	})
}

func TestCloseAnswersWhatWasTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		b := batching.New(h.run, small)
		var answered atomic.Int32
		for q := range 6 {
			go func() {
				if _, err := b.Do(t.Context(), q); err == nil {
					answered.Add(1)
				}
			}()
		}
		synctest.Wait()
		var closers sync.WaitGroup
		closers.Go(b.Close)
		closers.Go(b.Close)
		synctest.Wait()
		_, err := b.Do(t.Context(), 7)
		require.ErrorIs(t, err, batching.ErrClosed)
		for range 3 {
			h.letGo <- struct{}{}
		}
		closers.Wait()
		synctest.Wait()
		require.EqualValues(t, 6, answered.Load())
	})
}

func TestEachQuestionKeepsItsOwnError(t *testing.T) {
	t.Parallel()
	odd := errors.New("odd")
	b := batching.New(func(_ context.Context, qs []int) []batching.Result[int] {
		results := answerAll(qs)
		for i, q := range qs {
			if q%2 == 1 {
				results[i] = batching.Result[int]{Err: odd}
			}
		}
		return results
	}, batching.Options{Max: 64, Queue: 1000, Timeout: time.Second})
	defer b.Close()
	var askers sync.WaitGroup
	for q := range 200 {
		askers.Go(func() {
			_, err := b.Do(t.Context(), q)
			if q%2 == 1 {
				assert.ErrorIs(t, err, odd)
			} else {
				assert.NoError(t, err)
			}
		})
	}
	askers.Wait()
}

func TestAMissingResultIsAnErrorAndNotSomebodyElsesAnswer(t *testing.T) {
	t.Parallel()
	b := batching.New(func(context.Context, []int) []batching.Result[int] { return nil }, small)
	defer b.Close()
	_, err := b.Do(t.Context(), 1)
	require.ErrorContains(t, err, "1 questions gave 0 results")
}

func TestOptionsThatBoundNothingAreRefused(t *testing.T) {
	t.Parallel()
	require.Panics(t, func() {
		batching.New(func(context.Context, []int) []batching.Result[int] { return nil }, batching.Options{})
	})
}

func BenchmarkDo(b *testing.B) {
	results := make([]batching.Result[int], 256)
	batcher := batching.New(func(_ context.Context, qs []int) []batching.Result[int] { return results[:len(qs)] },
		batching.Options{Max: 256, Queue: 4096, Timeout: time.Second})
	defer batcher.Close()
	b.ReportAllocs()
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := batcher.Do(b.Context(), 1); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func TestASubmittedQuestionIsAnsweredByTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		b := batching.New(h.run, small)
		var got []int
		var mu sync.Mutex
		for q := range 9 { // one in the call, eight waiting
			require.NoError(t, b.Submit(q, func(a int, err error) {
				mu.Lock()
				defer mu.Unlock()
				assert.NoError(t, err)
				got = append(got, a)
			}))
			synctest.Wait()
		}
		require.ErrorIs(t, b.Submit(9, func(int, error) { t.Error("called though it was refused") }), batching.ErrFull)
		for range 3 {
			h.letGo <- struct{}{}
		}
		b.Close() // waits for the answers
		require.Equal(t, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, got)
		require.ErrorIs(t, b.Submit(10, nil), batching.ErrClosed)
	})
}
