package kafkajournal_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Sarama's metrics library starts one goroutine for the whole process and never ends it.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		// An open circuit breaker sleeps for 10 s, also when its producer is closed.
		goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer"))
}

// fake starts an in-process Kafka that ends with the test.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

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

var names atomic.Int64

// unique names a topic or group of this test alone.
func unique(kind string) string {
	return fmt.Sprintf("test-%s-%d-%d", kind, time.Now().UnixNano(), names.Add(1))
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// made makes a topic and says where it is.
func made(t *testing.T, brokers []string, partitions int) kafkajournal.Config {
	t.Helper()
	cfg := kafkajournal.Config{
		Brokers: brokers, Topic: unique("topic"), Group: unique("group"), Timeout: 2 * time.Second,
	}
	require.NoError(t, kafkajournal.CreateTopic(within(t, 20*time.Second), brokers, cfg.Topic, partitions, 1))
	return cfg
}

func opened(t *testing.T, cfg kafkajournal.Config) *kafkajournal.Journal {
	t.Helper()
	j, err := kafkajournal.Open(cfg, quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := j.Close(within(t, 20*time.Second)); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return j
}

func reading(t *testing.T, cfg kafkajournal.Config) *kafkajournal.Reader {
	t.Helper()
	r, err := kafkajournal.NewReader(cfg, quiet())
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// place is the n-th place of a test.
func place(n int) coupon.Place {
	return coupon.Place{
		CouponID: 7, UserID: fmt.Sprintf("u-%d", n), Nth: 1, Seq: int64(n), Epoch: 3,
		AcceptedAt: time.Date(2026, 11, 20, 12, 0, 0, n*1000, time.UTC),
	}
}

// all reads everything there is.
func all(t *testing.T, r *kafkajournal.Reader) []coupon.Place {
	t.Helper()
	ctx := within(t, 20*time.Second)
	ends, err := r.Ends(ctx)
	require.NoError(t, err)
	var places []coupon.Place
	require.NoError(t, r.Read(ctx, nil, ends, func(_ int32, _ int64, p coupon.Place) error {
		places = append(places, p)
		return nil
	}))
	return places
}

// raw produces records that no Journal would.
func raw(t *testing.T, cfg kafkajournal.Config, records ...*sarama.ProducerMessage) {
	t.Helper()
	s := sarama.NewConfig()
	s.Producer.Return.Successes = true
	s.Producer.Partitioner = sarama.NewManualPartitioner
	p, err := sarama.NewSyncProducer(cfg.Brokers, s)
	require.NoError(t, err)
	for _, r := range records {
		r.Topic = cfg.Topic
		_, _, err := p.SendMessage(r)
		require.NoError(t, err)
	}
	require.NoError(t, p.Close())
}

// freePort is one that nobody held a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return n
}
