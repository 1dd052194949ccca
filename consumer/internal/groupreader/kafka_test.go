package groupreader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

func TestMain(m *testing.M) {
	// Sarama's metrics library starts one goroutine for the whole process and never ends it.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// patience is for what takes a few heartbeats of a group on a busy machine.
const patience = 30 * time.Second

// onBoth runs a test against the in-process Kafka and, where FIRSTCOME_TEST_KAFKA_BROKERS names one, a real one.
func onBoth(t *testing.T, test func(t *testing.T, brokers []string)) {
	t.Helper()
	t.Parallel()
	t.Run("kfake", func(t *testing.T) {
		t.Parallel()
		test(t, fake(t).ListenAddrs())
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		addrs := os.Getenv("FIRSTCOME_TEST_KAFKA_BROKERS")
		if addrs == "" {
			t.Skip("FIRSTCOME_TEST_KAFKA_BROKERS is not set: no real Kafka to test on")
		}
		test(t, strings.Split(addrs, ","))
	})
}

func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

var names atomic.Int64

func unique(kind string) string {
	return fmt.Sprintf("test-%s-%d-%d", kind, time.Now().UnixNano(), names.Add(1))
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func made(t *testing.T, brokers []string, partitions int) kafkajournal.Config {
	t.Helper()
	cfg := kafkajournal.Config{
		Brokers: brokers, Topic: unique("topic"), Group: unique("group"), Timeout: 2 * time.Second,
	}
	require.NoError(t, kafkajournal.CreateTopic(within(t), brokers, cfg.Topic, partitions, 1))
	return cfg
}

// member is a running Reader.
type member struct {
	*Reader
	stop func()
}

func run(t *testing.T, cfg kafkajournal.Config, b Writer) *member {
	t.Helper()
	r, err := New(Config{Journal: cfg, BatchRecords: 100, BatchBytes: 1 << 20, StuckAfter: time.Minute}, b, quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	m := &member{Reader: r, stop: sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			assert.NoError(t, err)
		case <-time.After(patience):
			t.Error("the member does not stop")
		}
	})}
	t.Cleanup(m.stop)
	return m
}

// produce puts values into a partition.
func produce(t *testing.T, cfg kafkajournal.Config, partition int32, values ...[]byte) {
	t.Helper()
	s := sarama.NewConfig()
	s.Producer.Return.Successes = true
	s.Producer.Partitioner = sarama.NewManualPartitioner
	p, err := sarama.NewSyncProducer(cfg.Brokers, s)
	require.NoError(t, err)
	batch := make([]*sarama.ProducerMessage, len(values))
	for i, v := range values {
		batch[i] = &sarama.ProducerMessage{
			Topic: cfg.Topic, Partition: partition, Key: sarama.StringEncoder("u-1"), Value: sarama.ByteEncoder(v),
		}
	}
	require.NoError(t, errors.Join(p.SendMessages(batch), p.Close()))
}

func goods(n int64) [][]byte {
	var values [][]byte
	for i := range n {
		values = append(values, good(i))
	}
	return values
}

func upTo(n int64) []int64 {
	var all []int64
	for i := range n {
		all = append(all, i)
	}
	return all
}

// eventually waits for a condition that takes some heartbeats.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, 20*time.Millisecond, what)
}

func committed(t *testing.T, cfg kafkajournal.Config) map[int32]int64 {
	t.Helper()
	r, err := kafkajournal.NewReader(cfg, quiet())
	require.NoError(t, err)
	from, err := r.Committed(within(t))
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return from
}

// cutLog deletes the records of a partition below an offset.
func cutLog(t *testing.T, cfg kafkajournal.Config, partition int32, before int64) {
	t.Helper()
	a, err := sarama.NewClusterAdmin(cfg.Brokers, sarama.NewConfig())
	require.NoError(t, err)
	require.NoError(t, errors.Join(a.DeleteRecords(cfg.Topic, map[int32]int64{partition: before}), a.Close()))
}

// gauge reads one number.
func gauge(t *testing.T, g prometheus.Gauge) float64 {
	t.Helper()
	var m dto.Metric
	require.NoError(t, g.Write(&m))
	return m.GetGauge().GetValue()
}

func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	require.NoError(t, c.Write(&m))
	return m.GetCounter().GetValue()
}
