package doctor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// LongestOutage is what a limited retention has to outlast: a consumer group that stands still over a long weekend
	// and is put right in the week after it.
	LongestOutage = 7 * 24 * time.Hour
	// largestBatch is what the producer sends at most (Sarama's MaxMessageBytes and the batch's header), smallestBatch
	// one record with everything at its longest.
	largestBatch  = 1_000_000 + 61
	smallestBatch = 4096
	// durableCopies and durableAcks: an acknowledged record is on two disks, and one broker may be away.
	durableCopies = 3
	durableAcks   = 2
)

func ofKafka(f Facts) (bool, error) { return f.Kafka != nil || f.KafkaErr != nil, f.KafkaErr }

// ofTopic is for rules that look at the topic's settings.
func ofTopic(f Facts) (bool, error) {
	mine, err := ofKafka(f)
	if mine && err == nil && f.Kafka.Topic == nil {
		err = fmt.Errorf("the topic's settings were not told: %w", orNothing(f.Kafka.TopicErr))
	}
	return mine, err
}

func ofBrokers(f Facts) (bool, error) {
	mine, err := ofKafka(f)
	if mine && err == nil && len(f.Kafka.BrokerSets) == 0 {
		err = fmt.Errorf("the brokers' settings were not told: %w", orNothing(f.Kafka.BrokerErr))
	}
	return mine, err
}

func orNothing(err error) error {
	if err == nil {
		return errors.New("nothing was answered")
	}
	return err
}

func kafkaRules() []rule {
	const alter = "kafka-configs.sh --alter --entity-type topics --entity-name <kafka.topic> --add-config "
	return []rule{
		{
			name: "kafka_partitions", want: "as many partitions as kafka.partitions says, since the topic was made",
			risk: "where the numbers differ between roles, records of one user are in two partitions, in no order",
			set:  "kafka.partitions as the topic was made; partitions cannot be added, see the runbook", applies: ofKafka, judge: judgePartitions,
		},
		{
			name: "kafka_replication", want: "3 copies of every partition",
			risk: "an acknowledged record is on one disk: the promise in it is lost with the disk",
			set:  "kafka.replication 3 before `batch migrate`; later kafka-reassign-partitions.sh", applies: ofKafka, judge: judgeReplication,
		},
		{
			name: "kafka_min_insync", want: "min.insync.replicas 2 with 3 copies",
			risk: "a leader that is alone acknowledges: its disk is the only one that has the promise; above the copies, nothing is acknowledged",
			set:  alter + "min.insync.replicas=2", applies: ofTopic, judge: judgeMinInsync,
		},
		{
			name: "kafka_unclean_election", want: "unclean.leader.election.enable false",
			risk: "a replica that lacks acknowledged records becomes leader: the promises in them are lost, and nothing says so",
			set:  alter + "unclean.leader.election.enable=false", applies: ofTopic, judge: judgeUnclean,
		},
		{
			name: "kafka_retention", want: "retention.ms and retention.bytes -1: no limit",
			risk: "records that no consumer has written yet are deleted: their promises are lost, and gates stay shut (log cut)",
			set:  alter + "retention.ms=-1,retention.bytes=-1", applies: ofTopic, judge: judgeRetention,
		},
		{
			name: "kafka_cleanup", want: "cleanup.policy delete",
			risk: "compaction keeps the last record of a user: the user's other coupons are gone from the log",
			set:  alter + "cleanup.policy=delete", applies: ofTopic, judge: judgeCleanup,
		},
		{
			name: "kafka_message_size", want: fmt.Sprintf("max.message.bytes %d or more", largestBatch),
			risk: "batches of a storm are refused: claims are answered 503 and their places stay pending",
			set:  alter + "max.message.bytes=1048588", applies: ofTopic, judge: judgeMessageSize,
		},
		{
			name: "kafka_auto_create", want: "auto.create.topics.enable false on every broker",
			risk: "a tool that names the topic while it is missing makes one with the brokers' defaults",
			set:  "server.properties of the brokers", applies: ofBrokers, judge: judgeAutoCreate,
		},
		{
			name: "kafka_offsets_retention", want: fmt.Sprintf("offsets.retention.minutes %d or more", int(LongestOutage.Minutes())),
			risk: "a group that stood still longer starts over: the whole log is read again (rows stay what they are), and with a limited " +
				"retention gates stay shut",
			set: "server.properties of the brokers", applies: ofBrokers, judge: judgeOffsetsRetention,
		},
	}
}

func judgePartitions(f Facts) verdict {
	has, want := f.Kafka.Partitions, f.Config.Partitions
	switch {
	case has == want:
		return fine("%d", has)
	case has > want:
		return found(Breaks, "%d, kafka.partitions is %d", has, want)
	default: // Kafka cannot take partitions away: the configuration is another one than that of the making
		return found(Risky, "%d, kafka.partitions is %d", has, want)
	}
}

// oneMachine says whether the ledger is a file: then one broker on the same machine is as good as it.
func oneMachine(f Facts) bool { return f.Database != nil && f.Database.Dialect == "sqlite" }

func judgeReplication(f Facts) verdict {
	k := f.Kafka
	switch {
	case k.Copies >= durableCopies:
		return fine("%d copies, %d brokers", k.Copies, k.Brokers)
	case k.Brokers <= 1 && oneMachine(f):
		return fine("%d on one broker, beside a ledger in one file", k.Copies)
	case k.Copies == 1 && k.Brokers > 1:
		return found(Breaks, "1 copy, though there are %d brokers", k.Brokers)
	case k.Brokers <= 1:
		return found(Risky, "%d on one broker, which is for development", k.Copies)
	default:
		return found(Risky, "%d copies, %d brokers", k.Copies, k.Brokers)
	}
}

func judgeMinInsync(f Facts) verdict {
	n, err := strconv.Atoi(f.Kafka.Topic["min.insync.replicas"])
	copies := f.Kafka.Copies
	switch {
	case err != nil:
		return untold("min.insync.replicas was not told")
	case n > copies:
		return found(Breaks, "%d of %d copies: nothing is acknowledged", n, copies)
	case n < durableAcks && copies >= durableCopies:
		return found(Breaks, "%d of %d copies", n, copies)
	case n < durableAcks && copies > 1:
		return found(Risky, "%d of %d copies", n, copies)
	case n == copies && copies > 1:
		return found(Advice, "%d of %d copies: while one broker is away nothing is acknowledged", n, copies)
	default:
		return fine("%d of %d copies", n, copies)
	}
}

func judgeUnclean(f Facts) verdict {
	switch on := f.Kafka.Topic["unclean.leader.election.enable"]; {
	case on == "":
		return untold("unclean.leader.election.enable was not told")
	case on == "false":
		return fine("false")
	case f.Kafka.Copies <= 1:
		return found(Advice, "%s, with one copy of everything", on)
	default:
		return found(Breaks, "%s", on)
	}
}

func judgeRetention(f Facts) verdict {
	ms, err := strconv.ParseInt(f.Kafka.Topic["retention.ms"], 10, 64)
	if err != nil {
		return untold("retention.ms was not told")
	}
	size, err := strconv.ParseInt(f.Kafka.Topic["retention.bytes"], 10, 64)
	if err != nil {
		return untold("retention.bytes was not told")
	}
	const msMax = int64(1<<63-1) / int64(time.Millisecond)
	kept := time.Duration(min(max(ms, 0), msMax)) * time.Millisecond
	switch {
	case size >= 0: // a storm fills any size, and no outage can be measured in bytes
		return found(Breaks, "retention.bytes %d for each partition", size)
	case ms < 0:
		return fine("-1, -1")
	case kept < LongestOutage:
		return found(Breaks, "retention.ms %d (%v), less than an outage may last (%v)", ms, kept, LongestOutage)
	default:
		return found(Risky, "retention.ms %d (%v)", ms, kept)
	}
}

func judgeCleanup(f Facts) verdict {
	switch policy := f.Kafka.Topic["cleanup.policy"]; {
	case policy == "" || policy == "delete":
		if _, told := f.Kafka.Topic["cleanup.policy"]; !told {
			return untold("cleanup.policy was not told")
		}
		return fine("delete")
	case strings.Contains(policy, "compact"):
		return found(Breaks, "%s", policy)
	default:
		return untold("%q is not known here", policy)
	}
}

func judgeMessageSize(f Facts) verdict {
	n, err := strconv.ParseInt(f.Kafka.Topic["max.message.bytes"], 10, 64)
	switch {
	case err != nil:
		return untold("max.message.bytes was not told")
	case n < smallestBatch:
		return found(Breaks, "%d: not every single record fits", n)
	case n < largestBatch:
		return found(Risky, "%d", n)
	default:
		return fine("%d", n)
	}
}

func judgeAutoCreate(f Facts) verdict {
	for _, b := range f.Kafka.BrokerSets {
		switch on := b["auto.create.topics.enable"]; on {
		case "false":
		case "":
			if !oneMachine(f) { // the embedded broker has no such setting, and makes no topic by itself
				return untold("auto.create.topics.enable was not told")
			}
		default:
			return found(Advice, "%s", on)
		}
	}
	return fine("false")
}

func judgeOffsetsRetention(f Facts) verdict {
	least := int64(-1)
	for _, b := range f.Kafka.BrokerSets {
		n, err := strconv.ParseInt(b["offsets.retention.minutes"], 10, 64)
		if err != nil {
			return untold("offsets.retention.minutes was not told")
		}
		if least < 0 || n < least {
			least = n
		}
	}
	if time.Duration(least)*time.Minute >= LongestOutage {
		return fine("%d", least)
	}
	if judgeRetention(f).severity == Fine {
		return found(Advice, "%d", least)
	}
	return found(Risky, "%d, and the log has a limit", least)
}
