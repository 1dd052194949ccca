package kafkajournal_test

import (
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

// An acknowledgement that one broker gives alone is lost with that broker, and a promise with it. No test on a broker
// that stays up can tell, so this one looks at what is asked for.
func TestAnAcknowledgementIsAskedOfAllReplicas(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	cfg := made(t, cluster.ListenAddrs(), 1)
	var mu sync.Mutex
	var asked []int16
	cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if p, is := r.(*kmsg.ProduceRequest); is {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, p.Acks)
		}
		return nil, nil, false
	})
	require.NoError(t, opened(t, cfg).Append(within(t, 10*time.Second), place(1)))
	mu.Lock()
	defer mu.Unlock()
	const all = -1 // acks=all on the wire
	assert.Equal(t, []int16{all}, asked)
}

// What the topic is made with decides what an acknowledgement is worth.
func TestATopicIsMadeToKeepWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3))
	for replication, inSync := range map[int]string{1: "1", 3: "2"} {
		topic := unique("topic")
		require.NoError(t, kafkajournal.CreateTopic(within(t, 20*time.Second), cluster.ListenAddrs(), topic, 2, replication))
		settings := settingsOf(t, cluster.ListenAddrs(), topic)
		assert.Equal(t, inSync, settings["min.insync.replicas"], "of %d", replication)
		assert.Equal(t, "false", settings["unclean.leader.election.enable"])
		assert.Equal(t, "delete", settings["cleanup.policy"], "compacting would keep one record of a user")
		assert.Equal(t, "-1", settings["retention.ms"])
		assert.Equal(t, "-1", settings["retention.bytes"])
	}
}

func settingsOf(t *testing.T, brokers []string, topic string) map[string]string {
	t.Helper()
	s := kafkajournal.Config{}.Sarama()
	s.Metadata.Full = true // the controller is asked for by it
	admin, err := sarama.NewClusterAdmin(brokers, s)
	require.NoError(t, err)
	described, err := admin.DescribeConfigs([]*sarama.ConfigResource{{Type: sarama.TopicResource, Name: topic}}, sarama.DescribeConfigsOptions{})
	require.NoError(t, err)
	require.NoError(t, admin.Close())
	require.Len(t, described, 1)
	settings := make(map[string]string)
	for _, e := range described[0].Configs {
		settings[e.Name] = e.Value
	}
	return settings
}
