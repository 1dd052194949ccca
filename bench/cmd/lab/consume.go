package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/IBM/sarama"

	"github.com/firstcome/firstcome/bench/strategies"
)

// consume makes a row of each record that comes from now on, until ctx ends, and counts them. It stands for a consumer
// that never fails: what is lost in the laboratory was lost before the log.
func (s settings) consume(ctx context.Context, b strategies.Bench) (written *atomic.Int64, err error) {
	consumer, err := sarama.NewConsumer(strings.Split(s.kafka, ","), sarama.NewConfig())
	if err != nil {
		return nil, fmt.Errorf("kafka at %s: %w", s.kafka, err)
	}
	written = &atomic.Int64{}
	for partition := range int32(partitions) {
		from, err := consumer.ConsumePartition(topic, partition, sarama.OffsetNewest)
		if err != nil {
			return nil, err
		}
		go func() {
			for record := range from.Messages() {
				var couponID int64
				var user string
				if n, _ := fmt.Sscan(string(record.Value), &couponID, &user); n != 2 || couponID != b.Coupon {
					continue
				}
				if err := b.Insert(context.WithoutCancel(ctx), b.DB, user); err == nil {
					written.Add(1)
				}
			}
		}()
	}
	context.AfterFunc(ctx, func() { _ = consumer.Close() }) // nothing is committed
	return written, nil
}
