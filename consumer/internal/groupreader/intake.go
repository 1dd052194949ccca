package groupreader

import (
	"slices"
	"sync"
	"time"

	"github.com/firstcome/firstcome/core/ledger"
)

// intake holds the records of one partition that are to be written, in the order of their offsets. When it holds two
// batches it asks for a pause of the fetching, when less than one it ends the pause; what comes all the same is taken.
type intake struct {
	batchRecords int
	batchBytes   int
	pause        func(on bool)

	mu      sync.Mutex
	records []ledger.Record
	sizes   []int
	bytes   int
	paused  bool
	some    chan struct{} // holds one: there are records
}

func newIntake(batchRecords, batchBytes int, pause func(on bool)) *intake {
	return &intake{batchRecords: batchRecords, batchBytes: batchBytes, pause: pause, some: make(chan struct{}, 1)}
}

func (i *intake) put(r ledger.Record, size int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.records = append(i.records, r)
	i.sizes = append(i.sizes, size)
	i.bytes += size
	if !i.paused && (len(i.records) >= 2*i.batchRecords || i.bytes >= 2*i.batchBytes) {
		i.paused = true
		i.pause(true)
	}
	select {
	case i.some <- struct{}{}:
	default:
	}
}

// take waits for records and returns a batch of what is there: from ripe on, or when there is a full one. nil when done is
// closed first.
func (i *intake) take(done <-chan struct{}, ripe time.Time) []ledger.Record {
	alarm := time.NewTimer(time.Until(ripe))
	defer alarm.Stop()
	for {
		select {
		case <-done: // also when there are records: who has let go writes no more
			return nil
		default:
		}
		if batch := i.batch(!time.Now().Before(ripe)); batch != nil {
			return batch
		}
		select {
		case <-i.some:
		case <-alarm.C:
		case <-done:
		}
	}
}

// batch is what there is, or nil; unless it is ripe only a full one counts.
func (i *intake) batch(ripe bool) []ledger.Record {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !ripe && len(i.records) < i.batchRecords && i.bytes < i.batchBytes {
		return nil
	}
	n, bytes := 0, 0
	for n < len(i.records) && n < i.batchRecords && (n == 0 || bytes+i.sizes[n] <= i.batchBytes) {
		bytes += i.sizes[n]
		n++
	}
	if n == 0 {
		return nil
	}
	batch := slices.Clone(i.records[:n])
	i.records = slices.Delete(i.records, 0, n)
	i.sizes = slices.Delete(i.sizes, 0, n)
	i.bytes -= bytes
	if i.paused && len(i.records) < i.batchRecords && i.bytes < i.batchBytes {
		i.paused = false
		i.pause(false)
	}
	return batch
}
