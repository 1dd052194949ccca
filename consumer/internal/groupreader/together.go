package groupreader

import (
	"context"
	"slices"

	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/support/batching"
)

// join writes the batches of several partitions in as few transactions as hold them, BatchRecords each: a transaction costs
// the database as much as some hundred rows, and twelve partitions of one coupon would all wait for the lock of its row.
// It answers each batch; one that shares a transaction shares its fate.
func (r *Reader) join(ctx context.Context, batches [][]ledger.Record) []batching.Result[struct{}] {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	results := make([]batching.Result[struct{}], len(batches))
	for from := 0; from < len(batches); {
		together, to := slices.Clip(batches[from]), from+1 // clipped: a claim keeps its batch to try again
		for to < len(batches) && len(together)+len(batches[to]) <= r.cfg.BatchRecords {
			together = append(together, batches[to]...)
			to++
		}
		err := r.writer.Write(ctx, together)
		for ; from < to; from++ {
			results[from].Err = err
		}
	}
	return results
}
