package groupreader

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/ledger"
)

func batchOf(partition int32, from, n int64) []ledger.Record {
	batch := make([]ledger.Record, n)
	for i := range batch {
		batch[i] = ledger.Record{Partition: partition, Offset: from + int64(i)}
	}
	return batch
}

// What fits goes together; a batch is never torn, and the others do not share the fate of what is written apart.
func TestBatchesOfPartitionsShareATransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10)
		for _, r := range b.join(t.Context(), [][]ledger.Record{
			batchOf(1, 0, 4), batchOf(2, 0, 6), batchOf(3, 0, 1), batchOf(4, 0, 10), batchOf(5, 0, 12),
		}) {
			require.NoError(t, r.Err)
		}
		require.Equal(t, 4, b.book.attempts(), "1 and 2, then 3, 4 and 5 alone")
		require.Equal(t, []int64{0, 1, 2, 3, 4, 5}, b.book.offsets(2))
		require.Len(t, b.book.offsets(5), 12)

		b.book.set(errDown)
		kept := batchOf(1, 4, 2)
		for _, r := range b.join(t.Context(), [][]ledger.Record{kept, batchOf(2, 6, 2)}) {
			require.ErrorIs(t, r.Err, errDown)
		}
		require.Equal(t, batchOf(1, 4, 2), kept, "as it was, to be tried again")
	})
}

// A lone record waits for nobody; what follows a batch gathers until the common instant, or until there is a full batch.
func TestRecordsGatherAfterABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10)
		b.cfg.BatchWait = 100 * time.Millisecond
		b.start()
		defer func() { b.stop(); <-b.done }()
		<-time.After(30 * time.Millisecond) // virtual: somewhere between two of the instants
		began := time.Now()
		b.send(0, good(0))
		synctest.Wait()
		require.Len(t, b.book.offsets(3), 1)

		for n := range int64(5) {
			b.send(n+1, good(n+1))
		}
		synctest.Wait()
		require.Len(t, b.book.offsets(3), 1, "gathering")
		<-time.After(70*time.Millisecond - time.Nanosecond)
		synctest.Wait()
		require.Len(t, b.book.offsets(3), 1, "still")
		<-time.After(time.Nanosecond)
		synctest.Wait()
		require.Len(t, b.book.offsets(3), 6, "all at once")
		require.Equal(t, 2, b.book.attempts())
		require.Equal(t, 70*time.Millisecond, time.Since(began))

		for n := range int64(10) {
			b.send(n+6, good(n+6))
		}
		synctest.Wait()
		require.Len(t, b.book.offsets(3), 16, "a full batch waits for nothing")
	})
}
