package groupreader

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhileTheBookIsDownNothingIsSkippedAndReadinessSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10)
		b.book.set(errDown)
		b.start()
		began := time.Now()
		for n := range int64(5) {
			b.send(n, good(n))
		}
		synctest.Wait()
		<-time.After(time.Hour) // of synctest's clock
		assert.Equal(t, int64(-1), b.session.mark(), "nothing is marked")
		assert.Greater(t, b.book.attempts(), 3600/8, "tried at least every 7.5 s")
		assert.Less(t, b.book.attempts(), 3600/2, "and not in a loop that burns the machine")
		err := b.Waiting(t.Context())
		require.ErrorIs(t, err, errDown)
		assert.ErrorContains(t, err, "waiting for the database since "+clock(began))
		require.NoError(t, b.Live(t.Context()), "waiting is no reason to be started anew")

		b.book.set(nil)
		<-time.After(2 * longestPause)
		synctest.Wait()
		assert.Equal(t, []int64{0, 1, 2, 3, 4}, b.book.offsets(3), "the same records in the same order, once")
		assert.Equal(t, int64(5), b.session.mark())
		require.NoError(t, b.Waiting(t.Context()))
		b.stop()
		<-b.done
	})
}

func TestARevocationInTheMiddleOfRetryingLetsGoWithoutMarking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10)
		b.book.set(errDown)
		b.start()
		b.send(0, good(0))
		<-time.After(time.Minute)
		synctest.Wait()
		revoked := time.Now()
		close(b.stream.messages)
		<-b.done
		assert.Less(t, time.Since(revoked), firstPause, "a pause between attempts is not waited for")
		assert.Equal(t, int64(-1), b.session.mark())
		require.NoError(t, b.Waiting(t.Context()), "what is not ours is not waited for")
		b.stop()
	})
}

// The intake must see the revocation also when it is full.
func TestARevocationIsSeenWhileTheIntakeIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10)
		b.book.set(errDown)
		b.start()
		for n := range int64(100) { // Sarama had so much fetched when the pause came
			b.send(n, good(n))
		}
		synctest.Wait()
		paused, times := b.pauses.now()
		assert.True(t, paused)
		assert.Equal(t, 1, times)
		close(b.stream.messages)
		<-b.done
		assert.Equal(t, int64(-1), b.session.mark())
		b.stop()
	})
}

func TestAnAttemptThatIsUnderWayMayEndAndIsMarked(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*bench){
		"revoked": func(b *bench) { close(b.stream.messages) },
		"stopped": func(b *bench) { b.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, 10)
				b.book.hang = make(chan struct{})
				b.start()
				b.send(0, good(0))
				<-b.book.tried
				b.send(1, good(1)) // this one is not begun any more
				end(b)
				<-time.After(letGo / 2)
				close(b.book.hang)
				<-b.done
				assert.Equal(t, []int64{0}, b.book.offsets(3))
				assert.Equal(t, int64(1), b.session.mark())
				b.stop()
			})
		})
	}
}

func TestAnAttemptThatHangsIsCutOffSoThatThePartitionCanGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10)
		b.book.hang = make(chan struct{})
		b.start()
		b.send(0, good(0))
		<-b.book.tried
		revoked := time.Now()
		close(b.stream.messages)
		<-b.done
		assert.Equal(t, letGo, time.Since(revoked))
		assert.Less(t, letGo, rebalanceTimeout)
		assert.Equal(t, int64(-1), b.session.mark())
		b.stop()
	})
}

func TestAServerThatNeverAnswersIsFoundOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10)
		b.book.hang = make(chan struct{})
		b.start()
		b.send(0, good(0))
		<-time.After(attemptTimeout + time.Second)
		require.ErrorContains(t, b.Waiting(t.Context()), "deadline")
		<-time.After(time.Hour)
		require.NoError(t, b.Live(t.Context()), "its attempts end")
		b.stop()
		<-b.done
	})
}

func TestAStuckWriterFailsLiveness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10)
		b.book.hang, b.book.deaf = make(chan struct{}), true
		b.start()
		b.send(0, good(0))
		<-time.After(59 * time.Second)
		require.NoError(t, b.Live(t.Context()))
		<-time.After(2 * time.Second)
		require.ErrorContains(t, b.Live(t.Context()), "partition 3: a write has not ended since 2000-01-01T00:00:00Z")
		close(b.book.hang)
		synctest.Wait()
		require.NoError(t, b.Live(t.Context()))
		b.stop()
		<-b.done
	})
}
