package world

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/IBM/sarama"

	"github.com/firstcome/firstcome/core/admission/redisgate"
)

// Gate is the product's own gate on the world's Redis, for the harness' use.
func (w *World) Gate(ctx context.Context) (*redisgate.Gate, error) {
	return redisgate.Open(ctx, redisgate.Config{Addrs: []string{w.RedisAddr}, DB: w.RedisDB}, slog.New(slog.DiscardHandler))
}

// partitions of a spare topic, as of the product's.
const partitions = 12

// SpareTopic is a topic that nobody reads, made at the first call.
func (w *World) SpareTopic(ctx context.Context) (string, error) {
	name := w.Topic + ".spare"
	if w.spare {
		return name, nil
	}
	client, err := sarama.NewClusterAdmin(w.Brokers, sarama.NewConfig())
	if err != nil {
		return "", err
	}
	err = client.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false)
	if err = errors.Join(err, client.Close()); err != nil {
		return "", err
	}
	w.spare = true
	w.later(func(context.Context) error { return w.deleteTopic(name) })
	return name, w.untilTopic(ctx, name)
}

// untilTopic waits until the brokers name a leader for every partition.
func (w *World) untilTopic(ctx context.Context, name string) error {
	client, err := sarama.NewClient(w.Brokers, sarama.NewConfig())
	if err != nil {
		return err
	}
	for {
		if err = client.RefreshMetadata(name); err == nil {
			return client.Close()
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err(), client.Close())
		case <-time.After(lookEvery):
		}
	}
}

func (w *World) deleteTopic(name string) error {
	client, err := sarama.NewClusterAdmin(w.Brokers, sarama.NewConfig())
	if err != nil {
		return err
	}
	return errors.Join(client.DeleteTopic(name), client.Close())
}
