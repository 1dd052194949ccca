package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firstcome/firstcome/e2e/servers"
	"github.com/firstcome/firstcome/e2e/stack"
)

// kafkaCluster is three brokers; each record is on all of them, and acknowledged when two have it.
type kafkaCluster struct {
	*kafkaLab
	brokers []*servers.Server
	admin   *kadm.Client
}

func newKafkaCluster(t *testing.T) *kafkaCluster {
	t.Helper()
	all, err := servers.NewKafkaCluster(filepath.Join(t.TempDir(), "kafka"), 3, servers.KafkaOptions{Config: map[string]string{
		"min.insync.replicas": "2",
		// Leaders move when the test says so, and not by themselves every five minutes; and a broker is not taken for dead
		// because three of them start on a busy machine.
		"auto.leader.rebalance.enable": "false", "broker.session.timeout.ms": "6000",
	}})
	addrs := make([]string, len(all))
	for i, s := range all {
		addrs[i] = s.Addr()
	}
	c := &kafkaCluster{brokers: stack.OwnAll(t)(all, err)}
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.MetadataMinAge(100*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	c.admin = kadm.NewClient(client)
	c.kafkaLab = newKafkaLab(t, stack.Options{Kafka: strings.Join(addrs, ","), Env: []string{"FIRSTCOME_KAFKA_REPLICATION=3"}})
	return c
}

// start starts brokers at the same time: one alone may have no quorum, and would not get ready.
func (c *kafkaCluster) start(which ...int) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		errs := make([]error, len(which))
		var all sync.WaitGroup
		for n, i := range which {
			all.Go(func() { errs[n] = c.brokers[i].Start(t.Context()) })
		}
		all.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	}
}

// partitions are the topic's, as one broker knows them; none while none answers.
func (c *kafkaCluster) partitions(t *testing.T) kadm.PartitionDetails {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	found, err := c.admin.ListTopics(ctx, c.Topic)
	if err != nil {
		return nil
	}
	return found[c.Topic].Partitions
}

// inSync waits until every broker has everything.
func (c *kafkaCluster) inSync(t *testing.T) {
	t.Helper()
	stack.Eventually(t, drainWithin, func() bool {
		all := c.partitions(t)
		for _, p := range all {
			if len(p.ISR) != len(c.brokers) {
				return false
			}
		}
		return len(all) > 0
	}, "all replicas are in sync")
}

// moveLeadersBack has each partition led by its preferred broker again, as operators do after a restart, and says how
// many were led by another.
func (c *kafkaCluster) moveLeadersBack(t *testing.T) (moved int) {
	t.Helper()
	c.inSync(t)
	others := func() (set kadm.TopicsSet) {
		set = kadm.TopicsSet{}
		for _, p := range c.partitions(t) {
			if p.Leader != p.Replicas[0] {
				set.Add(c.Topic, p.Partition) // a topic without partitions would be a request to elect nobody
			}
		}
		return set
	}
	moved = len(others()[c.Topic])
	stack.Eventually(t, drainWithin, func() bool {
		set := others()
		if len(set) == 0 {
			return true
		}
		_, err := c.admin.ElectLeaders(t.Context(), kadm.ElectPreferredReplica, set) // again, if need be
		return err == nil && len(others()) == 0
	}, "each partition is led by its first broker")
	return moved
}

// leads is how many partitions a broker leads.
func (c *kafkaCluster) leads(t *testing.T, broker int) (n int) {
	t.Helper()
	for _, p := range c.partitions(t) {
		if int(p.Leader) == broker+1 {
			n++
		}
	}
	return n
}

// Three brokers: a leader is killed, the one who leads most is stopped in order, leaders are moved back, and two of three are
// gone. Who claimed meanwhile keeps the place.
func TestKafkaLosesALeaderAndThenTheMajority(t *testing.T) {
	t.Parallel()
	c := newKafkaCluster(t)
	ways := []broken{
		{
			name: "leader-killed", hurt: func(t *testing.T) {
				t.Helper()
				c.inSync(t)
				require.Positive(t, c.leads(t, 1), "it leads nothing")
				require.NoError(t, c.brokers[1].Kill())
			},
			heal: c.start(1), killed: -1,
		},
		{
			name: "stopped-in-order", hurt: func(t *testing.T) {
				t.Helper()
				c.inSync(t)
				require.Positive(t, c.leads(t, 2), "it leads nothing")
				require.NoError(t, c.brokers[2].Stop(t.Context()))
			},
			heal: c.start(2), killed: -1,
		},
		{
			name: "leaders-moved-back", hurt: func(t *testing.T) { t.Helper(); require.Positive(t, c.moveLeadersBack(t), "there was nothing to move") },
			heal: func(*testing.T) {}, killed: -1,
		},
		{
			name: "two-of-three-gone", hurt: func(t *testing.T) {
				t.Helper()
				c.inSync(t)
				require.NoError(t, c.brokers[0].Kill())
				require.NoError(t, c.brokers[1].Kill())
			},
			heal: c.start(0, 1), shut: true, killed: -1,
		},
	}
	for _, b := range ways {
		c.meets(t, b)
	}
	c.judge(t, int64(len(ways))*(2*duringFault+1))
	require.Empty(t, c.Verify(t, "30s").Findings)
}
