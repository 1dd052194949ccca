package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// journal is the log, read by a consumer without a group.
type journal struct {
	cfg    Kafka
	client sarama.Client
}

// span is the part of one partition that is read: from start (included) to end (excluded).
type span struct{ start, end int64 }

func openLog(cfg Kafka) (*journal, error) {
	s := sarama.NewConfig()
	s.Version = sarama.V3_6_0_0
	s.ClientID = "firstcome-audit"
	s.Net.DialTimeout, s.Net.ReadTimeout, s.Net.WriteTimeout = cfg.Timeout, cfg.Timeout, cfg.Timeout
	s.Metadata.AllowAutoTopicCreation = false
	s.Metadata.Full = false
	s.Metadata.Timeout = cfg.Timeout
	s.Consumer.Return.Errors = true
	s.Consumer.Offsets.AutoCommit.Enable = false
	s.Consumer.MaxWaitTime = 20 * time.Millisecond // all that is asked for is there; a close waits for the last exchange
	s.Consumer.MaxProcessingTime = time.Minute     // a bucket's disk may be slow; this is no liveness
	s.ChannelBufferSize = 1024
	client, err := sarama.NewClient(cfg.Brokers, s)
	if err != nil {
		return nil, unopenedLog(cfg, err)
	}
	return &journal{cfg: cfg, client: client}, nil
}

func unopenedLog(cfg Kafka, err error) error {
	return unopened(err, "Kafka", strings.Join(cfg.Brokers, ","), "kafka.brokers")
}

func (j *journal) close() error { return j.client.Close() }

// offsets are the ends of all partitions, or their starts.
func (j *journal) offsets(which int64) (map[int32]int64, error) {
	err := j.client.RefreshMetadata(j.cfg.Topic)
	if errors.Is(err, sarama.ErrOutOfBrokers) {
		return nil, unopenedLog(j.cfg, err)
	}
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", j.cfg.Topic, err)
	}
	partitions, err := j.client.Partitions(j.cfg.Topic)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", j.cfg.Topic, err)
	}
	all := make(map[int32]int64, len(partitions))
	for _, p := range partitions {
		if all[p], err = j.client.GetOffset(j.cfg.Topic, p, which); err != nil {
			return nil, fmt.Errorf("topic %s partition %d: %w", j.cfg.Topic, p, err)
		}
	}
	return all, nil
}

func (j *journal) ends() (map[int32]int64, error)   { return j.offsets(sarama.OffsetNewest) }
func (j *journal) starts() (map[int32]int64, error) { return j.offsets(sarama.OffsetOldest) }

// committed are the offsets that the consumers' group has committed: the records below each are written. A partition that
// is missing has none.
func (j *journal) committed(partitions map[int32]int64) (map[int32]int64, error) {
	if err := j.client.RefreshCoordinator(j.cfg.Group); err != nil {
		return nil, fmt.Errorf("group %s: %w", j.cfg.Group, err)
	}
	coordinator, err := j.client.Coordinator(j.cfg.Group)
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", j.cfg.Group, err)
	}
	list := make([]int32, 0, len(partitions))
	for p := range partitions {
		list = append(list, p)
	}
	answer, err := coordinator.FetchOffset(sarama.NewOffsetFetchRequest(sarama.V3_6_0_0, j.cfg.Group,
		map[string][]int32{j.cfg.Topic: list}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("group %s: %w", j.cfg.Group, err), coordinator.Close())
	}
	all := make(map[int32]int64, len(list))
	switch gerr := answer.GroupError(); gerr {
	case sarama.ErrNoError:
	case sarama.ErrGroupIDNotFound: // nobody has joined it yet
		return all, nil
	default:
		return nil, fmt.Errorf("group %s: %w", j.cfg.Group, gerr)
	}
	for _, p := range list {
		block := answer.GetBlock(j.cfg.Topic, p)
		if block == nil {
			return nil, fmt.Errorf("group %s: %w", j.cfg.Group, sarama.ErrIncompleteResponse)
		}
		if block.Err != sarama.ErrNoError {
			return nil, fmt.Errorf("group %s partition %d: %w", j.cfg.Group, p, block.Err)
		}
		if block.Offset >= 0 {
			all[p] = block.Offset
		}
	}
	return all, nil
}

// read tells every record of one partition from start to end.
func (j *journal) read(ctx context.Context, partition int32, s span, told func(*sarama.ConsumerMessage) error) (err error) {
	if s.start >= s.end {
		return nil
	}
	consumer, err := sarama.NewConsumerFromClient(j.client)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, consumer.Close()) }()
	records, err := consumer.ConsumePartition(j.cfg.Topic, partition, s.start)
	if err != nil {
		return fmt.Errorf("topic %s partition %d: %w", j.cfg.Topic, partition, err)
	}
	defer func() {
		records.AsyncClose()
		for range records.Messages() { // drained, so that the close can end
		}
		for range records.Errors() { // drained, so that the close can end
		}
	}()
	// Nothing for so long, where records are known to be, is a log that cannot be read.
	patience := 3 * j.cfg.Timeout
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var last error
	for {
		select {
		case m := <-records.Messages():
			if m.Offset < s.end {
				if err := told(m); err != nil {
					return err
				}
			}
			if m.Offset >= s.end-1 {
				return nil
			}
			timer.Reset(patience)
		case fault := <-records.Errors():
			last = fault // it tries again by itself
		case <-timer.C:
			return errors.Join(fmt.Errorf("topic %s partition %d: nothing more came before offset %d", j.cfg.Topic, partition, s.end), last)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wire is a record's value.
type wire struct {
	V          int64     `json:"v"`
	CouponID   int64     `json:"coupon_id"`
	UserID     string    `json:"user_id"`
	Nth        int       `json:"nth"`
	Seq        int64     `json:"seq"`
	Epoch      int64     `json:"epoch"`
	AcceptedAt time.Time `json:"accepted_at"`
	Key        string    `json:"key"`
}

const (
	maxWire = 4 << 10
	maxName = 64
	maxNth  = 100
)

// decode reads a record. It is more lenient than the writers: what they refuse has a failed event, and that counts.
func decode(value []byte, e *entry) error {
	if len(value) > maxWire {
		return fmt.Errorf("%d bytes are more than %d", len(value), maxWire)
	}
	var w wire
	if err := json.Unmarshal(value, &w); err != nil {
		return fmt.Errorf("not the JSON of a record: %w", err)
	}
	switch {
	case w.V != 1:
		return fmt.Errorf("version %d", w.V)
	case w.CouponID < 1 || w.Seq < 1 || w.Epoch < 1 || w.Nth < 1 || w.Nth > maxNth:
		return fmt.Errorf("coupon %d, nth %d, seq %d, epoch %d: a number that no gate gives", w.CouponID, w.Nth, w.Seq, w.Epoch)
	case w.UserID == "" || len(w.UserID) > maxName || len(w.Key) > maxName:
		return fmt.Errorf("a user id of %d and a key of %d bytes", len(w.UserID), len(w.Key))
	}
	e.coupon, e.user, e.nth, e.key, e.seq, e.epoch, e.at = w.CouponID, w.UserID, w.Nth, w.Key, w.Seq, w.Epoch, w.AcceptedAt.UnixMicro()
	return nil
}
