package kafkajournal

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/IBM/sarama"

	"github.com/firstcome/firstcome/core/support/doctor"
)

// askedBrokers bounds the brokers whose own settings are asked for; they are the same on all of them, or somebody is
// changing them one by one.
const askedBrokers = 9

// Facts tells how cluster and topic are set up. It changes nothing. Settings that the brokers do not tell (without the right
// DESCRIBE_CONFIGS) are left out; the error is about brokers that cannot be reached, or a topic that is not there.
func Facts(ctx context.Context, cfg Config) (*doctor.Kafka, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	facts, err := await(ctx, func() (*doctor.Kafka, error) { return facts(cfg) })
	return facts, cfg.explain(err)
}

// Facts is as the function.
func (r *Reader) Facts(ctx context.Context) (*doctor.Kafka, error) { return Facts(ctx, r.cfg) }

func facts(cfg Config) (found *doctor.Kafka, err error) {
	s := cfg.Sarama()
	s.Metadata.Full = true // the controller is asked for by it
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	topic, err := describe(admin, cfg.Topic)
	if err != nil {
		return nil, err
	}
	brokers, _, err := admin.DescribeCluster()
	if err != nil {
		return nil, err
	}
	found = &doctor.Kafka{Brokers: len(brokers), Partitions: len(topic.Partitions)}
	for i, p := range topic.Partitions {
		if i == 0 || len(p.Replicas) < found.Copies {
			found.Copies = len(p.Replicas)
		}
	}
	found.Topic, found.TopicErr = settingsOf(admin, sarama.TopicResource, cfg.Topic)
	for _, b := range brokers[:min(len(brokers), askedBrokers)] {
		set, err := settingsOf(admin, sarama.BrokerResource, strconv.Itoa(int(b.ID())))
		if err != nil {
			found.BrokerErr = err
			continue
		}
		found.BrokerSets = append(found.BrokerSets, set)
	}
	return found, nil
}

// settingsOf are the settings in force, defaults included.
func settingsOf(admin sarama.ClusterAdmin, kind sarama.ConfigResourceType, name string) (doctor.Settings, error) {
	results, err := admin.DescribeConfigs([]*sarama.ConfigResource{{Type: kind, Name: name}}, sarama.DescribeConfigsOptions{})
	if err == nil && (len(results) != 1 || results[0].ErrorCode != sarama.ErrNoError) {
		err = sarama.ErrIncompleteResponse
		if len(results) == 1 {
			err = results[0].ErrorCode
		}
	}
	if err != nil {
		return nil, fmt.Errorf("settings of %s: %w", name, err)
	}
	found := make(doctor.Settings, len(results[0].Configs))
	for _, e := range results[0].Configs {
		if !e.Sensitive {
			found[e.Name] = e.Value
		}
	}
	return found, nil
}
