package kafkajournal

import (
	"fmt"
	"sync/atomic"

	"github.com/IBM/sarama"
)

// placing places records among as many partitions as there were at the beginning, whatever is added by hand later. A
// user's records must stay in one partition and in order, and a rebuild notes the ends of the partitions that it sees: a
// record in one that is newer than that would count as too late, although it was promised.
type placing struct {
	topic string
	most  int          // kafka.partitions; 0: not told
	count atomic.Int32 // 0: no connection was made yet
}

// begin looks at the topic as a connection sees it. The first one settles the count.
func (p *placing) begin(client sarama.Client) error {
	partitions, err := client.Partitions(p.topic)
	if err != nil {
		return err
	}
	n := len(partitions)
	if p.most > 0 {
		n = min(n, p.most)
	}
	if p.count.CompareAndSwap(0, int32(n)) {
		return nil
	}
	return fewer(p.topic, len(partitions), int(p.count.Load()))
}

// fewer is the error for a topic that has lost partitions, which Kafka cannot take away from one.
func fewer(topic string, has, had int) error {
	if has >= had {
		return nil
	}
	return fmt.Errorf("%w: %s has %d and had %d: it was made anew, see the runbook", ErrPartitionsDiffer, topic, has, had)
}

// partitioner is the Java client's, so that other tools find a user's records in the same partition.
func (p *placing) partitioner(topic string) sarama.Partitioner {
	return &fixedPartitioner{Partitioner: sarama.NewMurmur2Partitioner(topic), placing: p}
}

type fixedPartitioner struct {
	sarama.Partitioner
	placing *placing
}

// Partition implements sarama.Partitioner.
func (f *fixedPartitioner) Partition(m *sarama.ProducerMessage, has int32) (int32, error) {
	count := f.placing.count.Load()
	if err := fewer(m.Topic, int(has), int(count)); err != nil {
		return 0, err
	}
	return f.Partitioner.Partition(m, count)
}
