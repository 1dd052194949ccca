package kafkajournal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/firstcome/firstcome/core/coupon"
)

const (
	askAttempts = 4                      // of a question to the brokers, while a leader or coordinator moves
	askBackoff  = 200 * time.Millisecond // times the attempt's number
)

// Reader reads the journal as a rebuild needs it (rules 19, 21 and 23). It connects when it is first asked and is safe
// for concurrent use.
type Reader struct {
	cfg Config
	log *slog.Logger

	mu     sync.Mutex
	client sarama.Client // nil: not connected yet
	closed bool
	most   int // partitions that were ever seen
}

// NewReader makes a reader; cfg.Group is the consumers' group. It connects to nothing yet; the error is about the
// configuration.
func NewReader(cfg Config, log *slog.Logger) (*Reader, error) {
	err := cfg.check()
	if cfg.Group == "" {
		err = errors.Join(err, errors.New("kafka.group is empty"))
	}
	if err != nil {
		return nil, err
	}
	return &Reader{cfg: cfg, log: log}, nil
}

// Ends are the end offsets of all partitions: what has been acknowledged before the call is below them. That holds over
// a change of leader too, because a new leader that does not know yet what was acknowledged says so (KIP-207), and is
// asked again.
func (r *Reader) Ends(ctx context.Context) (map[int32]int64, error) {
	return ask(ctx, r, func(c sarama.Client) (map[int32]int64, error) { return r.offsets(c, sarama.OffsetNewest) })
}

// Committed are the offsets from which the consumers' group would go on: of every record below, the row or failed event
// is in the ledger. A partition without a committed offset begins at 0. coupon.ErrLogCut: records that nobody has
// written are gone from the log. coupon.ErrLogAnew: the topic ends before what the group has read or, where it has
// committed nothing, before what the ledger knows of it. Kafka forgets a group's offsets together with the topic, so that
// one made anew looks like one that nobody has read.
func (r *Reader) Committed(ctx context.Context) (map[int32]int64, error) {
	from, err := ask(ctx, r, r.committed)
	if err != nil {
		return nil, err
	}
	starts, err := ask(ctx, r, func(c sarama.Client) (map[int32]int64, error) { return r.offsets(c, sarama.OffsetOldest) })
	if err != nil {
		return nil, err
	}
	var seen map[int32]int64
	if r.cfg.Seen != nil && unread(starts, from) {
		if seen, err = r.cfg.Seen(ctx); err != nil {
			return nil, err
		}
	}
	// Asked after the others: those can only have been at or below the ends then.
	ends, err := r.Ends(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for partition, end := range ends {
		at, there := from[partition]
		if !there || at < 0 {
			from[partition], at = 0, 0
			if seen[partition] > end {
				errs = append(errs, fmt.Errorf("%w: %s/%d ends at %d, the ledger knows of %d: was the topic made anew?",
					coupon.ErrLogAnew, r.cfg.Topic, partition, end, seen[partition]))
			}
		}
		switch start := starts[partition]; {
		case at < start:
			errs = append(errs, fmt.Errorf("%w: %s/%d: group %s is at %d, the log starts at %d", coupon.ErrLogCut,
				r.cfg.Topic, partition, r.cfg.Group, at, start))
		case at > end:
			errs = append(errs, fmt.Errorf("%w: %s/%d: group %s is at %d, beyond the end %d: was the topic made anew?",
				coupon.ErrLogAnew, r.cfg.Topic, partition, r.cfg.Group, at, end))
		}
	}
	return from, errors.Join(errs...)
}

// unread says whether the group has committed nothing in one of the partitions.
func unread(partitions, committed map[int32]int64) bool {
	for partition := range partitions {
		if at, there := committed[partition]; !there || at < 0 {
			return true
		}
	}
	return false
}

// CheckTopic is as Journal's.
func (r *Reader) CheckTopic(ctx context.Context) error { return CheckTopic(ctx, r.cfg) }

// Close ends the connections; what is being read fails.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.client == nil {
		return nil
	}
	c := r.client
	r.client = nil
	return c.Close()
}

func (r *Reader) connect() (sarama.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	if r.client == nil {
		c, err := sarama.NewClient(r.cfg.Brokers, r.cfg.Sarama()) // without a full refresh it does not connect
		if err != nil {
			return nil, err
		}
		r.client = c
	}
	return r.client, nil
}

// ask puts a question to the brokers, a few times while a leader or coordinator moves.
func ask[T any](ctx context.Context, r *Reader, question func(sarama.Client) (T, error)) (answer T, err error) {
	for attempt := 1; ; attempt++ {
		answer, err = await(ctx, func() (T, error) {
			c, cerr := r.connect()
			if cerr == nil {
				cerr = c.RefreshMetadata(r.cfg.Topic) // a leader of yesterday would answer too
			}
			if cerr != nil {
				var none T
				return none, cerr
			}
			return question(c)
		})
		if err == nil || attempt == askAttempts || ctx.Err() != nil || lasting(err) {
			return answer, r.cfg.explain(err)
		}
		select {
		case <-time.After(time.Duration(attempt) * askBackoff):
		case <-ctx.Done():
		}
	}
}

// lasting says whether asking again at once is of no use.
func lasting(err error) bool {
	return errors.Is(err, ErrClosed) || errors.Is(err, sarama.ErrUnknownTopicOrPartition) || errors.Is(err, sarama.ErrOutOfBrokers)
}

func (r *Reader) offsets(c sarama.Client, which int64) (map[int32]int64, error) {
	partitions, err := c.Partitions(r.cfg.Topic)
	if err != nil {
		return nil, err
	}
	if err = r.saw(len(partitions)); err != nil {
		return nil, err
	}
	all := make(map[int32]int64, len(partitions))
	for _, p := range partitions {
		if all[p], err = c.GetOffset(r.cfg.Topic, p, which); err != nil {
			return nil, fmt.Errorf("%s/%d: %w", r.cfg.Topic, p, err)
		}
	}
	return all, nil
}

// saw refuses a topic that has fewer partitions than before: what is read of it is not all there was. A broker that does
// not know of new ones yet says so too, and is asked again.
func (r *Reader) saw(partitions int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.most = max(r.most, partitions)
	return fewer(r.cfg.Topic, partitions, r.most)
}

// committed asks the group's coordinator; -1, or no entry, stands for none.
func (r *Reader) committed(c sarama.Client) (map[int32]int64, error) {
	partitions, err := c.Partitions(r.cfg.Topic)
	if err != nil {
		return nil, err
	}
	if err = c.RefreshCoordinator(r.cfg.Group); err != nil {
		return nil, err
	}
	coordinator, err := c.Coordinator(r.cfg.Group)
	if err != nil {
		return nil, err
	}
	answer, err := coordinator.FetchOffset(
		sarama.NewOffsetFetchRequest(protocol(), r.cfg.Group, map[string][]int32{r.cfg.Topic: partitions}))
	if err != nil {
		return nil, errors.Join(err, coordinator.Close())
	}
	all := make(map[int32]int64, len(partitions))
	switch gerr := answer.GroupError(); gerr {
	case sarama.ErrNoError:
	case sarama.ErrGroupIDNotFound: // kfake's word for a group that nobody has joined yet; Kafka says -1 for each partition
		return all, nil
	default:
		return nil, gerr
	}
	for _, p := range partitions {
		block := answer.GetBlock(r.cfg.Topic, p)
		switch {
		case block == nil:
			return nil, sarama.ErrIncompleteResponse
		case block.Err != sarama.ErrNoError:
			return nil, fmt.Errorf("%s/%d: %w", r.cfg.Topic, p, block.Err)
		}
		all[p] = block.Offset
	}
	return all, nil
}
