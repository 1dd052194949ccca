package kafkajournal_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

// appender puts one place on the topic and returns when every in-sync replica has it.
type appender func(ctx context.Context, p coupon.Place) error

// BenchmarkAck is many callers at a time who each wait for the acknowledgement, on FIRSTCOME_TEST_KAFKA_BROKERS or else in
// process: the journal, and next to it the same records by Sarama alone and by franz-go, acks=all and idempotent all of
// them. They take turns, so that a machine that others use is the same for each; compare their ratios.
func BenchmarkAck(b *testing.B) {
	brokers := benchBrokers(b)
	kinds := []struct {
		name string
		open func(b *testing.B, cfg kafkajournal.Config) appender
	}{{"journal", byJournal}, {"sarama", bySarama}, {"franz", byFranz}}
	for _, callers := range []int{1, 64, 256, 1024} {
		for _, kind := range kinds {
			b.Run(fmt.Sprintf("callers=%d/%s", callers, kind.name), func(b *testing.B) {
				cfg := kafkajournal.Config{Brokers: brokers, Topic: unique("bench")}
				require.NoError(b, kafkajournal.CreateTopic(b.Context(), brokers, cfg.Topic, 12, 1))
				ackTimes(b, callers, kind.open(b, cfg))
			})
		}
	}
}

func benchBrokers(b *testing.B) []string {
	b.Helper()
	if addrs := os.Getenv("FIRSTCOME_TEST_KAFKA_BROKERS"); addrs != "" {
		return strings.Split(addrs, ",")
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(b, err)
	b.Cleanup(c.Close)
	return c.ListenAddrs()
}

// ackTimes reports records a second and the times to the acknowledgement.
func ackTimes(b *testing.B, callers int, put appender) {
	b.Helper()
	var n atomic.Int64
	took := make([][]time.Duration, callers)
	var all sync.WaitGroup
	for i := range 500 { // connected, and every partition has a record
		all.Go(func() { _ = put(b.Context(), place(i+1)) })
	}
	all.Wait()
	b.ResetTimer()
	began := time.Now()
	for c := range callers {
		all.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				from := time.Now()
				if err := put(b.Context(), place(int(i))); err != nil {
					b.Error(err)
					return
				}
				took[c] = append(took[c], time.Since(from))
			}
		})
	}
	all.Wait()
	seconds := time.Since(began).Seconds()
	b.StopTimer()
	times := slices.Concat(took...)
	slices.Sort(times)
	if len(times) == 0 {
		return
	}
	b.ReportMetric(float64(len(times))/seconds, "records/s")
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
}

func byJournal(b *testing.B, cfg kafkajournal.Config) appender {
	b.Helper()
	j, err := kafkajournal.Open(cfg, quiet(), prometheus.NewRegistry())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, j.Close(context.Background())) })
	return j.Append
}

func bySarama(b *testing.B, cfg kafkajournal.Config) appender {
	b.Helper()
	s := cfg.Sarama()
	s.Net.MaxOpenRequests = 1
	s.Producer.Idempotent, s.Producer.RequiredAcks = true, sarama.WaitForAll
	s.Producer.Return.Successes, s.Producer.Return.Errors = true, true
	p, err := sarama.NewAsyncProducer(cfg.Brokers, s)
	require.NoError(b, err)
	var settled sync.WaitGroup
	settled.Go(func() {
		for m := range p.Successes() {
			m.Metadata.(chan error) <- nil
		}
	})
	settled.Go(func() {
		for f := range p.Errors() {
			f.Msg.Metadata.(chan error) <- f.Err
		}
	})
	b.Cleanup(func() { p.AsyncClose(); settled.Wait() })
	return func(_ context.Context, at coupon.Place) error {
		done := make(chan error, 1)
		p.Input() <- &sarama.ProducerMessage{
			Topic: cfg.Topic, Metadata: done, Key: sarama.StringEncoder(at.UserID), Value: sarama.ByteEncoder(journal.Encode(nil, at)),
		}
		return <-done
	}
}

func byFranz(b *testing.B, cfg kafkajournal.Config) appender {
	b.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.DefaultProduceTopic(cfg.Topic), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(b, err)
	b.Cleanup(c.Close)
	return func(ctx context.Context, at coupon.Place) error {
		return c.ProduceSync(ctx, &kgo.Record{Key: []byte(at.UserID), Value: journal.Encode(nil, at)}).FirstErr()
	}
}
