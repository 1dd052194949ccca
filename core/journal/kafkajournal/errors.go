package kafkajournal

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/IBM/sarama"
)

// Errors that callers tell apart with errors.Is; whatever else is returned is an unknown outcome.
var (
	ErrTopicMissing     = errors.New("topic does not exist")
	ErrPartitionsDiffer = errors.New("topic has another number of partitions")
	ErrClosed           = errors.New("journal is closed")
	ErrFull             = errors.New("too many records are not settled")
)

// Explain says what a person can do about an error of Sarama; what it does not know it returns as it is. The error
// stays in the chain.
func Explain(err error, brokers []string, topic string) error {
	at := "kafka at " + strings.Join(brokers, ", ")
	var dns *net.DNSError
	var network net.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrTopicMissing):
		return err
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		return fmt.Errorf("%w: %s: make it with `batch migrate`, or correct kafka.topic (%w)", ErrTopicMissing, topic, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s refused the connection: is it running, is kafka.brokers right? (%w)", at, err)
	case errors.As(err, &dns):
		return fmt.Errorf("%s: a name is not known: correct kafka.brokers, or the broker's advertised.listeners (%w)", at, err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%s closed the connection: it has just stopped, or that is not Kafka's own port, or one with TLS (%w)", at, err)
	case errors.As(err, &network) && network.Timeout():
		return fmt.Errorf("%s does not answer within kafka.timeout (%w)", at, err)
	case errors.Is(err, sarama.ErrOutOfBrokers):
		return fmt.Errorf("%s cannot be reached (%w)", at, err)
	default:
		return err
	}
}

func (c Config) explain(err error) error { return Explain(err, c.Brokers, c.Topic) }
