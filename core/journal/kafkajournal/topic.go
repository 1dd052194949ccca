package kafkajournal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

const (
	visibleEvery = 100 * time.Millisecond
	visibleFor   = 15 * time.Second // KRaft shows a new topic with leaders within a second or two
)

// CreateTopic makes the topic unless it is there with this number of partitions; with another number the error is
// ErrPartitionsDiffer. Safe to run twice, and by several at once. It returns when every partition has a leader.
// Replication is the number of copies; with three or more, an acknowledged record is in at least two.
func CreateTopic(ctx context.Context, brokers []string, topic string, partitions, replication int) error {
	cfg := Config{Brokers: brokers, Topic: topic}
	if err := cfg.check(); err != nil {
		return err
	}
	_, err := await(ctx, func() (struct{}, error) { return struct{}{}, createTopic(ctx, cfg, partitions, replication) })
	return cfg.explain(err)
}

func createTopic(ctx context.Context, cfg Config, partitions, replication int) (err error) {
	s := cfg.Sarama()
	s.Metadata.Full = true // the controller is asked for by it
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()

	found, err := describe(admin, cfg.Topic)
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		err = admin.CreateTopic(cfg.Topic, detail(partitions, replication), false)
		if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) { // somebody else was quicker
			return explainCreate(err, replication)
		}
		found, err = visible(ctx, admin, cfg.Topic)
	}
	if err != nil {
		return err
	}
	if len(found.Partitions) != partitions {
		return fmt.Errorf("%w: %s has %d, kafka.partitions says %d: correct the configuration; more partitions would put "+
			"records of one user into two of them, in no order", ErrPartitionsDiffer, cfg.Topic, len(found.Partitions), partitions)
	}
	return nil
}

// detail keeps every record: a consumers' group without committed offsets starts at 0, and a rebuild refuses a log
// whose start it cannot account for (rule 21). An operator may shorten the topic below what is committed.
func detail(partitions, replication int) *sarama.TopicDetail {
	value := func(s string) *string { return &s }
	d := &sarama.TopicDetail{
		NumPartitions:     int32(partitions),  // at most 1000 by configuration
		ReplicationFactor: int16(replication), // at most 9 by configuration
		ConfigEntries: map[string]*string{
			"cleanup.policy":                 value("delete"),
			"retention.ms":                   value("-1"),
			"retention.bytes":                value("-1"),
			"unclean.leader.election.enable": value("false"), // it would lose acknowledged records
			"min.insync.replicas":            value("1"),
		},
	}
	if replication >= 3 {
		d.ConfigEntries["min.insync.replicas"] = value("2")
	}
	return d
}

func explainCreate(err error, replication int) error {
	if errors.Is(err, sarama.ErrInvalidReplicationFactor) {
		return fmt.Errorf("kafka.replication %d needs as many brokers: start them or lower it (%w)", replication, err)
	}
	return err
}

// describe returns the topic, or the broker's error for it.
func describe(admin sarama.ClusterAdmin, topic string) (*sarama.TopicMetadata, error) {
	topics, err := admin.DescribeTopics([]string{topic})
	switch {
	case err != nil:
		return nil, err
	case len(topics) != 1:
		return nil, sarama.ErrIncompleteResponse
	case topics[0].Err != sarama.ErrNoError:
		return nil, topics[0].Err
	}
	return topics[0], nil
}

// visible waits until a topic that was just made is known with a leader for every partition.
func visible(ctx context.Context, admin sarama.ClusterAdmin, topic string) (*sarama.TopicMetadata, error) {
	ctx, cancel := context.WithTimeout(ctx, visibleFor)
	defer cancel()
	for {
		found, err := describe(admin, topic)
		if err == nil {
			for _, p := range found.Partitions {
				if p.Err != sarama.ErrNoError {
					err = p.Err
				}
			}
		}
		if err == nil {
			return found, nil
		}
		select {
		case <-time.After(visibleEvery):
		case <-ctx.Done():
			return nil, fmt.Errorf("the topic was made but has no leaders yet: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// CheckTopic says whether the brokers answer and the topic is there: ErrTopicMissing, or why it cannot be told.
func CheckTopic(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	_, err := await(ctx, func() (struct{}, error) {
		client, err := sarama.NewClient(cfg.Brokers, cfg.Sarama())
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, errors.Join(usable(client, cfg.Topic), client.Close())
	})
	return cfg.explain(err)
}
