package kafkajournal

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	// failingFor is how long a partition must have had nothing but failures before its line is looked into: longer than
	// Sarama's first repetitions, so that a change of leader is left to it.
	failingFor = 500 * time.Millisecond
	// stalledFor is how long a line may have records under way without settling any. Sarama's pauses add up to 6.5 s
	// and its exchanges to a few timeouts.
	stalledFor = 30 * time.Second
	// abandonAfter is how long a retired line may take to settle what is under way on it.
	abandonAfter = 15 * time.Second
)

// errRetired is why a record was not taken: the line is being replaced.
var errRetired = errors.New("connection is being replaced")

// errAbandoned is the outcome of what Sarama did not settle: unknown.
var errAbandoned = errors.New("kafka did not settle the record in time")

// delivery is one record on its way.
type delivery struct {
	record sarama.ProducerMessage
	began  time.Time
	done   func(error) // called once; does not wait
}

// line is one connection with its idempotent producer and the count of what is under way on it.
type line struct {
	cfg      Config
	where    *placing
	client   sarama.Client
	producer sarama.AsyncProducer
	tally    *tally

	sending    sync.RWMutex // held for reading while a record is handed over: a closed producer's input panics
	retired    chan struct{}
	retireOnce sync.Once
	settledAll chan struct{} // the producer is closed, nothing is under way
	gone       chan struct{} // settledAll, or abandoned; the connection is closed

	mu        sync.Mutex
	underWay  map[*delivery]struct{}
	abandoned bool
	acked     bool
	lastNews  time.Time           // a record was settled, or the first one after a rest was taken
	failing   map[int32]time.Time // partition → its first failure since its last success
}

// openLine connects, makes sure that the topic is there and takes a producer id. It blocks for a few timeouts at most.
func openLine(cfg Config, where *placing, t *tally) (*line, error) {
	client, err := sarama.NewClient(cfg.Brokers, cfg.publisher(where))
	if err != nil {
		return nil, err
	}
	if err = usable(client, cfg.Topic); err == nil {
		err = where.begin(client)
	}
	var producer sarama.AsyncProducer
	if err == nil {
		producer, err = sarama.NewAsyncProducerFromClient(client)
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	l := &line{
		cfg: cfg, where: where, client: client, producer: producer, tally: t,
		retired: make(chan struct{}), settledAll: make(chan struct{}), gone: make(chan struct{}),
		failing: map[int32]time.Time{}, underWay: map[*delivery]struct{}{},
	}
	go l.settleAll()
	return l, nil
}

// usable says whether records can be sent to at least one partition, and may be.
func (l *line) usable() error {
	if err := usable(l.client, l.cfg.Topic); err != nil {
		return err
	}
	return l.where.begin(l.client)
}

// usable says whether records can be sent to at least one partition.
func usable(client sarama.Client, topic string) error {
	err := client.RefreshMetadata(topic)
	if errors.Is(err, sarama.ErrLeaderNotAvailable) {
		if writable, werr := client.WritablePartitions(topic); werr == nil && len(writable) > 0 {
			return nil
		}
	}
	return err
}

// send hands a record over. An error means that this line has not taken it.
func (l *line) send(ctx context.Context, d *delivery) error {
	l.sending.RLock()
	defer l.sending.RUnlock()
	select {
	case <-l.retired:
		return errRetired
	default:
	}
	l.take(d) // before it is handed over: its result may come at once
	select {
	case l.producer.Input() <- &d.record:
		return nil
	case <-l.retired:
		l.giveBack(d)
		return errRetired
	case <-ctx.Done():
		l.giveBack(d)
		return ctx.Err()
	}
}

// sendNow is send for one who does not wait. false: the line has not taken the record.
func (l *line) sendNow(d *delivery) bool {
	if !l.sending.TryRLock() { // it is being closed
		return false
	}
	defer l.sending.RUnlock()
	select {
	case <-l.retired:
		return false
	default:
	}
	l.take(d)
	select {
	case l.producer.Input() <- &d.record:
		return true
	default:
		l.giveBack(d)
		return false
	}
}

func (l *line) take(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.underWay) == 0 {
		l.lastNews = time.Now()
	}
	l.underWay[d] = struct{}{}
}

func (l *line) giveBack(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.underWay, d)
}

// settleAll tells every record's outcome until the producer is closed.
func (l *line) settleAll() {
	successes, failures := l.producer.Successes(), l.producer.Errors()
	for successes != nil || failures != nil {
		select {
		case m, open := <-successes:
			if !open {
				successes = nil
				continue
			}
			l.settle(m, nil)
		case f, open := <-failures:
			if !open {
				failures = nil
				continue
			}
			l.settle(f.Msg, f.Err)
		}
	}
	close(l.settledAll)
}

func (l *line) settle(m *sarama.ProducerMessage, err error) {
	d, ok := m.Metadata.(*delivery)
	if !ok {
		return // not ours; nothing else is ever sent here
	}
	now := time.Now()
	l.mu.Lock()
	late := l.abandoned
	delete(l.underWay, d)
	l.lastNews = now
	if err == nil {
		l.acked = true
		delete(l.failing, m.Partition)
	} else if _, already := l.failing[m.Partition]; !already {
		l.failing[m.Partition] = now
	}
	l.mu.Unlock()
	l.tally.settled(now.Sub(d.began), err)
	if late {
		return // told already
	}
	l.tally.free(1)
	d.done(l.cfg.explain(err))
}

// trouble is what may be wrong with the line: a partition that only fails (-1: none), or nothing settled for long.
func (l *line) trouble(now time.Time) (failing int32, stalled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for partition, since := range l.failing {
		if now.Sub(since) > failingFor {
			return partition, false
		}
	}
	return -1, len(l.underWay) > 0 && now.Sub(l.lastNews) > stalledFor
}

func (l *line) hasAcked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// retire takes no more records and closes the line once those under way are settled. It does not wait for that.
func (l *line) retire() {
	l.retireOnce.Do(func() {
		close(l.retired)
		go l.close()
	})
}

func (l *line) close() {
	defer close(l.gone)
	l.sending.Lock() // nobody is handing over any more
	l.producer.AsyncClose()
	l.sending.Unlock()
	patience := time.NewTimer(abandonAfter)
	defer patience.Stop()
	select {
	case <-l.settledAll:
	case <-patience.C:
	}
	l.abandon()
	if err := l.client.Close(); err != nil {
		l.tally.log.Debug("closing a connection to kafka", "error", err)
	}
}

// abandon gives up what Sarama does not settle, and tells those who asked.
func (l *line) abandon() {
	l.mu.Lock()
	left := l.underWay
	l.underWay, l.abandoned = map[*delivery]struct{}{}, true
	l.mu.Unlock()
	if len(left) == 0 {
		return
	}
	l.tally.free(len(left))
	for d := range left {
		d.done(errAbandoned)
	}
	l.tally.log.Error("a connection to kafka did not settle its records in time and is left behind",
		"records", len(left), "after", abandonAfter)
}
