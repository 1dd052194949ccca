package kafkajournal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal"
)

const (
	// readBytes is what one exchange asks for; a greater batch of records comes whole (KIP-74). About 5,000 records.
	readBytes = 1 << 20
	// readTogether is how many partitions are read at the same time: it bounds the memory of a reading to about
	// readTogether × 3 × readBytes, decoding included, however long the log is.
	readTogether = 4
	// readWait is how long a broker waits for records that are there already.
	readWait = 250 * time.Millisecond
	// readAttempts is how many exchanges in a row may fail or bring nothing; readBackoff times their number is the pause.
	readAttempts = 8
	readBackoff  = 100 * time.Millisecond
)

// Read calls each for every record from (included) to (excluded) that can be decoded: one at a time, in the order of
// offsets within a partition, partitions mixed. A partition that is missing in from begins at 0. What cannot be decoded
// is left out and counted in the log: the consumers make a failed event of it, and nobody was promised anything by it.
// The error of each ends it and is returned; coupon.ErrLogCut when records in the range are gone.
func (r *Reader) Read(ctx context.Context, from, to map[int32]int64, each func(partition int32, offset int64, p coupon.Place) error) error {
	c, err := r.connect()
	if err != nil {
		return err
	}
	var one sync.Mutex // each need not be safe for concurrent use
	var broken int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readTogether)
	for partition, end := range to {
		group.Go(func() error {
			return r.readPartition(ctx, c, partition, from[partition], end, func(offset int64, value []byte) error {
				place, derr := journal.Decode(value)
				one.Lock()
				defer one.Unlock()
				if derr != nil {
					broken++
					return nil
				}
				return each(partition, offset, place)
			})
		})
	}
	err = group.Wait()
	if broken > 0 {
		r.log.Warn("records that cannot be decoded were left out of a reading", "topic", r.cfg.Topic, "records", broken)
	}
	return err
}

func (r *Reader) readPartition(ctx context.Context, c sarama.Client, partition int32, next, end int64,
	each func(offset int64, value []byte) error,
) error {
	for failed := 0; next < end; {
		block, err := await(ctx, func() (*sarama.FetchResponseBlock, error) { return r.fetch(c, partition, next) })
		before := next
		if err == nil {
			if next, err = records(block, next, end, each); err != nil {
				return err
			}
		}
		if next > before {
			failed = 0
			continue
		}
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			return fmt.Errorf("%w: %s/%d: %d is not in the log any more", coupon.ErrLogCut, r.cfg.Topic, partition, next)
		}
		failed++
		if failed == readAttempts || ctx.Err() != nil {
			return fmt.Errorf("read %s/%d from %d: %w", r.cfg.Topic, partition, next, r.cfg.explain(orNothing(err)))
		}
		select {
		case <-time.After(time.Duration(failed) * readBackoff):
		case <-ctx.Done():
		}
	}
	return nil
}

var errNothing = errors.New("the broker sends nothing, though the log goes on")

func orNothing(err error) error {
	if err == nil {
		return errNothing
	}
	return err
}

// fetch is one exchange. After an error the leader is looked up anew.
func (r *Reader) fetch(c sarama.Client, partition int32, next int64) (*sarama.FetchResponseBlock, error) {
	leader, epoch, err := c.LeaderAndEpoch(r.cfg.Topic, partition)
	if err != nil {
		return nil, errors.Join(err, c.RefreshMetadata(r.cfg.Topic))
	}
	request := &sarama.FetchRequest{
		Version: 11, MinBytes: 1, MaxBytes: readBytes, MaxWaitTime: int32(readWait.Milliseconds()),
		SessionEpoch: -1, // no fetch session: each exchange stands alone
	}
	request.AddBlock(r.cfg.Topic, partition, next, readBytes, epoch)
	answer, err := leader.Fetch(request)
	if err != nil {
		return nil, errors.Join(err, leader.Close(), c.RefreshMetadata(r.cfg.Topic))
	}
	block := answer.GetBlock(r.cfg.Topic, partition)
	switch {
	case block == nil:
		return nil, sarama.ErrIncompleteResponse
	case errors.Is(block.Err, sarama.ErrOffsetOutOfRange):
		return nil, block.Err
	case block.Err != sarama.ErrNoError:
		return nil, errors.Join(block.Err, c.RefreshMetadata(r.cfg.Topic))
	}
	return block, nil
}

// records goes through what came and returns the offset to go on from.
func records(block *sarama.FetchResponseBlock, next, end int64, each func(offset int64, value []byte) error) (int64, error) {
	for _, set := range block.RecordsSet {
		batch := set.RecordBatch
		if batch == nil { // the format before Kafka 0.11, which no broker since 4.0 has and our publisher never wrote
			return next, errors.New("records of a format that is too old")
		}
		if batch.Control { // a transaction's end; it has an offset, but is no record
			next = max(next, batch.LastOffset()+1)
			continue
		}
		for _, record := range batch.Records {
			offset := batch.FirstOffset + record.OffsetDelta
			if offset < next {
				continue // a batch comes whole, also what was before
			}
			if offset >= end {
				return end, nil
			}
			if err := each(offset, record.Value); err != nil {
				return offset, err
			}
			next = offset + 1
		}
		if !batch.PartialTrailingRecord {
			next = max(next, batch.LastOffset()+1) // offsets whose records were compacted away
		}
	}
	return next, nil
}
