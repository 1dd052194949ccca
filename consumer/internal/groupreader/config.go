package groupreader

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/firstcome/firstcome/core/journal/kafkajournal"
)

// Config is what a Reader reads, and in what pieces.
type Config struct {
	Journal      kafkajournal.Config // Group is the group to join
	BatchRecords int                 // most records of a batch
	BatchBytes   int                 // most bytes of keys and values of a batch; a greater record is a batch of its own
	BatchWait    time.Duration       // from one batch of a partition to its next, unless that is full
	StuckAfter   time.Duration       // how long one attempt to write may last before Live complains
}

const (
	// attemptTimeout bounds one attempt to write. The ledger's waits for locks are shorter; a server that does not
	// answer at all is found out by it.
	attemptTimeout = 30 * time.Second
	// letGo is how long an attempt may go on when the partition was revoked or the process is to stop. What it commits
	// within that time can still be marked.
	letGo = 5 * time.Second

	// joined is how many partitions' batches are looked at together, and maxPartitions how many may wait: all that a topic
	// can have.
	joined        = 64
	maxPartitions = 1000
	// writers is how many transactions a process has open at the same time: while one waits for the disk, the other works.
	writers = 2

	firstPause   = 100 * time.Millisecond // before a failed batch is tried again; doubles
	longestPause = 5 * time.Second        // so much later than the database a partition is back at worst

	// sessionTimeout is how long the group waits for a member that died; heartbeats every second are also what makes
	// the others notice a rebalance within one.
	sessionTimeout = 10 * time.Second
	heartbeatEvery = time.Second
	// rebalanceTimeout is how long the group waits for a member that is letting go: letGo, the commit of its offsets
	// and the way there and back.
	rebalanceTimeout = 15 * time.Second
	// answerTimeout must be above rebalanceTimeout: the answer to a join comes when all others have joined.
	answerTimeout = rebalanceTimeout + 5*time.Second

	commitEvery = 500 * time.Millisecond // marked offsets are committed; what is not yet is read again after a crash

	// fetchBytes is what one exchange brings of one partition: about 2,500 records. fetchAll is for all partitions of a
	// broker together.
	fetchBytes = 512 << 10
	fetchAll   = 16 << 20
	// fetchLeast is what an exchange waits for, as long as fetchWait: else every request of a producer is followed by an
	// exchange for a few records, which costs broker and consumer more than the records do.
	fetchLeast = 64 << 10
	fetchWait  = 40 * time.Millisecond
	// channelRecords is Sarama's buffer between its goroutines and the intake, which is always there to take: small,
	// since with records of 1 MiB it would be the greatest part of the memory.
	channelRecords = 16
	// processingTime is how long Sarama lets a partition not take a message before it gives up its subscription for a
	// moment. The intake always takes, so this is for a machine that stands still.
	processingTime = 3 * time.Second
	fetchBackoff   = 500 * time.Millisecond
)

func (c Config) check() error {
	var errs []error
	if c.BatchRecords < 1 || c.BatchBytes < 1 {
		errs = append(errs, fmt.Errorf("batches of %d records and %d bytes", c.BatchRecords, c.BatchBytes))
	}
	if c.StuckAfter <= 0 {
		errs = append(errs, fmt.Errorf("stuck after %v", c.StuckAfter))
	}
	if c.Journal.Group == "" {
		errs = append(errs, errors.New("kafka.group is empty"))
	}
	return errors.Join(errs...)
}

func (c Config) sarama() *sarama.Config {
	s := c.Journal.Sarama()
	s.Net.ReadTimeout = answerTimeout
	s.ChannelBufferSize = channelRecords

	s.Consumer.Return.Errors = true
	s.Consumer.Offsets.Initial = sarama.OffsetOldest // a new group owes everybody everything
	s.Consumer.Offsets.AutoCommit.Enable = true      // without it, marks are dropped when a partition is revoked
	s.Consumer.Offsets.AutoCommit.Interval = commitEvery
	// A log that was cut above the committed offset has lost promises. Going on at its new start would hide that; the
	// member stops instead and says so until somebody decides (rule 21 for rebuilds).
	s.Consumer.Group.ResetInvalidOffsets = false

	s.Consumer.Group.Session.Timeout = sessionTimeout
	s.Consumer.Group.Heartbeat.Interval = heartbeatEvery
	s.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
	s.Consumer.Group.Rebalance.Timeout = rebalanceTimeout
	s.Consumer.Group.Rebalance.Retry.Backoff = fetchBackoff

	s.Consumer.Fetch.Min = fetchLeast
	s.Consumer.Fetch.Default = fetchBytes
	s.Consumer.Fetch.Max = 0 // with any bound Sarama skips a record that is greater
	s.Consumer.Fetch.MaxBytes = fetchAll
	s.Consumer.MaxWaitTime = fetchWait
	s.Consumer.MaxProcessingTime = processingTime
	s.Consumer.Retry.Backoff = fetchBackoff
	return s
}
