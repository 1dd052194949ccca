package kafkajournal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// Config is where the topic is and how patient to be.
type Config struct {
	Brokers []string // host:port of some brokers; the others are found by them
	Topic   string
	Group   string // the consumers' group; readers only
	// Seen are the offsets that the ledger knows of the topic, by partition: each record below was in it once. Where the
	// group has committed nothing they tell a topic that was made anew from one that nobody has read yet; nil: nothing does.
	Seen func(context.Context) (map[int32]int64, error)
	// Partitions is the most that records are put into, whatever the topic has; 0: as many as it has at the first
	// connection. What is added later gets none; see placing.
	Partitions int
	ClientID   string        // in the brokers' logs and quotas; "" is "firstcome"
	Timeout    time.Duration // one exchange with a broker, connecting too; 0 is DefaultTimeout
}

// DefaultTimeout is for Config.Timeout. Sarama's own 30 s would hold a claim's record 30 s in a connection that is dead.
const DefaultTimeout = 5 * time.Second

// MaxInFlight bounds the records that one Journal has taken and not settled. Each is about 1 KiB inside Sarama, so
// that is 16 MiB; at 20,000 claims a second it is what 0.8 s of a slow broker piles up.
const MaxInFlight = 16384

const (
	// sendRetries and sendBackoff bound how long one record is sent again: 0.05+0.1+0.2+0.4+0.8+5×1 s = 6.5 s of
	// pauses, longer than a planned change of leader takes (about 1 s) and than anybody waits for the answer.
	sendRetries    = 10
	sendBackoff    = 50 * time.Millisecond
	maxSendBackoff = time.Second

	// gather is how long the first record of a request waits for others. Without it Sarama sends a record as soon as its
	// partition has nothing under way: of 50 claims that the gate decides together the first goes alone, and the rest in
	// five or six requests of some partitions each, one after the other on the connection. Those cost the broker and us
	// six times the work, and where processors are short that is most of the time to an acknowledgement.
	gather = time.Millisecond

	// idRetries bound how long a new connection asks for its producer id, 0.1 s apart; then it is made anew.
	idRetries = 3

	// metadataRetries are few and quick: a refresh that waits for one leaderless partition holds up the others.
	metadataRetries = 3
	metadataBackoff = 100 * time.Millisecond
	// metadataEvery is how soon new partitions and moved leaders are seen without an error that tells of them.
	metadataEvery = time.Minute
)

// protocol is the newest version of the Kafka protocol that is spoken. Sarama lowers each request to what the broker
// knows.
func protocol() sarama.KafkaVersion { return sarama.V3_6_0_0 }

func (c Config) check() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("kafka.brokers is empty"))
	}
	if c.Topic == "" {
		errs = append(errs, errors.New("kafka.topic is empty"))
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("kafka.timeout is negative: %v", c.Timeout))
	}
	return errors.Join(errs...)
}

func (c Config) timeout() time.Duration {
	if c.Timeout == 0 {
		return DefaultTimeout
	}
	return c.Timeout
}

// Sarama is what every connection to the journal has in common.
func (c Config) Sarama() *sarama.Config {
	s := sarama.NewConfig()
	s.Version = protocol()
	s.ClientID = c.ClientID
	if s.ClientID == "" {
		s.ClientID = "firstcome"
	}
	s.Net.DialTimeout, s.Net.ReadTimeout, s.Net.WriteTimeout = c.timeout(), c.timeout(), c.timeout()
	s.Admin.Timeout = c.timeout()
	s.Metadata.Full = false // only our topic; and then a client can be made while no broker is there
	s.Metadata.AllowAutoTopicCreation = false
	s.Metadata.RefreshFrequency = metadataEvery
	s.Metadata.Retry.Max = metadataRetries
	s.Metadata.Retry.Backoff = metadataBackoff
	s.Metadata.Timeout = c.timeout()
	return s
}

// publisher is Sarama and what keeps records: Sarama's defaults wait for one replica only, retry for 0.3 s and are not
// idempotent.
func (c Config) publisher(where *placing) *sarama.Config {
	s := c.Sarama()
	s.Net.MaxOpenRequests = 1 // as idempotence demands: a later batch must not overtake an earlier one's repetition
	s.Producer.Idempotent = true
	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Timeout = c.timeout() / 2 // the broker's "not all replicas" comes before we take it for dead
	s.Producer.Retry.Max = sendRetries
	s.Producer.Retry.BackoffFunc = backoff
	s.Producer.Transaction.Retry.Max = idRetries
	s.Producer.Partitioner = where.partitioner // a change of it would put a user's records into two partitions
	s.Producer.Flush.Frequency = gather
	s.Producer.Return.Successes = true
	s.Producer.Return.Errors = true
	return s
}

// backoff pauses before the given repetition. The first sending has none: Sarama asks for it also when it refuses a
// record that was never sent, and would sleep once for each of them, one after the other.
func backoff(retries, _ int) time.Duration {
	if retries <= 0 {
		return 0
	}
	return min(sendBackoff<<min(retries-1, 10), maxSendBackoff)
}
