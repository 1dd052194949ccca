package kafkajournal_test

import (
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

// BenchmarkAppend is 256 claims at a time, on FIRSTCOME_TEST_KAFKA_BROKERS or else in process.
func BenchmarkAppend(b *testing.B) {
	var brokers []string
	if addrs := os.Getenv("FIRSTCOME_TEST_KAFKA_BROKERS"); addrs != "" {
		brokers = strings.Split(addrs, ",")
	} else {
		c, err := kfake.NewCluster(kfake.NumBrokers(1))
		require.NoError(b, err)
		defer c.Close()
		brokers = c.ListenAddrs()
	}
	cfg := kafkajournal.Config{Brokers: brokers, Topic: unique("bench")}
	require.NoError(b, kafkajournal.CreateTopic(b.Context(), brokers, cfg.Topic, 12, 1))
	j, err := kafkajournal.Open(cfg, quiet(), prometheus.NewRegistry())
	require.NoError(b, err)
	defer func() { require.NoError(b, j.Close(b.Context())) }()
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := j.Append(b.Context(), place(int(n.Add(1)))); err != nil {
				b.Error(err)
			}
		}
	})
}
