package groupreader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/support/batching"
)

// Writer books records of one or more partitions, those of each in the order of their offsets. nil: each of them is in the
// book, whatever became of it, and will be there after a crash. An error: nothing may be marked; the same records come
// again. It is called by several goroutines at once and ends when ctx does. Records of one partition are with two calls at a
// time only where this member lost the partition, left its attempt running, and got the partition back: the book takes
// each record once, whoever brings it (rule 20).
type Writer interface {
	Write(ctx context.Context, batch []ledger.Record) error
}

// Reader is one member of the consumers' group.
type Reader struct {
	cfg      Config
	writer   Writer
	together *batching.Batcher[[]ledger.Record, struct{}] // what partitions write at the same time
	life     context.Context                              //nolint:containedctx // of all attempts; ends letGo after Run is to end
	end      context.CancelFunc
	log      *slog.Logger
	metrics  *metrics
	progress *progress
	ends     *kafkajournal.Reader // for the lag

	mu       sync.Mutex
	group    sarama.ConsumerGroup // nil: not running
	session  error                // nil: there is one; else why there is none
	told     string               // the last trouble in the log, and when: it is not repeated for complainEvery
	toldAt   time.Time
	waiting  ledger.Trouble // the trouble with the book that was last in the log; none: it was not waited for
	waitTold time.Time      // when
}

const (
	// complainEvery is how often the same trouble with the brokers is logged while it lasts.
	complainEvery = 10 * time.Second
	// remindEvery is how often it is logged that the book is waited for, all partitions together; a change of its
	// trouble is logged at once, but not more often than complainEvery.
	remindEvery = time.Minute
)

var errNoSession = errors.New("not a member of the group yet")

// New makes a reader; Run makes it work. The error is about the configuration.
func New(cfg Config, writer Writer, log *slog.Logger, reg prometheus.Registerer) (*Reader, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	ends, err := kafkajournal.NewReader(cfg.Journal, log)
	if err != nil {
		return nil, err
	}
	p := newProgress()
	m, err := newMetrics(reg, p)
	if err != nil {
		return nil, err
	}
	if err = reg.Register(newWaitMetrics(p)); err != nil {
		return nil, err
	}
	r := &Reader{
		cfg: cfg, writer: writer, log: log, metrics: m, progress: p, ends: ends,
		session: errNoSession,
	}
	r.life, r.end = context.WithCancel(context.Background())
	r.together = batching.New(r.join, batching.Options{
		Max: joined, Queue: maxPartitions, Workers: writers, Timeout: attemptTimeout,
	})
	return r, nil
}

// Run reads and writes until ctx ends, through every trouble of brokers and book. Then it lets the running attempts end
// (for letGo at most), commits what is marked and leaves the group. It is called once.
func (r *Reader) Run(ctx context.Context) error {
	group, err := sarama.NewConsumerGroup(r.cfg.Journal.Brokers, r.cfg.Journal.Group, r.cfg.sarama())
	if err != nil {
		r.together.Close()
		return errors.Join(err, r.ends.Close())
	}
	r.mu.Lock()
	r.group = group
	r.mu.Unlock()

	var beside sync.WaitGroup
	beside.Go(func() {
		for e := range group.Errors() {
			r.trouble(e)
		}
	})
	beside.Go(func() { r.watchLag(ctx) })
	defer context.AfterFunc(ctx, func() { time.AfterFunc(letGo, r.end) })()
	r.sessions(ctx, group)
	err = group.Close()
	r.together.Close()
	beside.Wait()
	if err != nil { // the group finds out by itself within sessionTimeout
		r.log.Warn("leaving the group", "error", r.explain(err))
	}
	return r.ends.Close()
}

// sessions joins the group again whenever a session has ended.
func (r *Reader) sessions(ctx context.Context, group sarama.ConsumerGroup) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := group.Consume(ctx, []string{r.cfg.Journal.Topic}, members{r})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errNoSession
		}
		err = r.explain(err)
		r.joined(err)
		if !errors.Is(err, errNoSession) {
			r.trouble(err)
		}
		if time.Since(began) > sessionTimeout {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// Ready says why the member does not work: no session, or a partition that cannot be read.
func (r *Reader) Ready(context.Context) error {
	r.mu.Lock()
	err := r.session
	r.mu.Unlock()
	return errors.Join(err, r.progress.unreadable())
}

// Waiting says since when and why batches cannot be written. It lasts as long as the database is down.
func (r *Reader) Waiting(context.Context) error { return r.progress.waiting() }

// Live says that an attempt to write has not ended for too long: only a new start would help.
func (r *Reader) Live(context.Context) error {
	return r.progress.stuck(time.Now(), r.cfg.StuckAfter)
}

func (r *Reader) joined(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session = err
}

// pause stops or resumes the fetching of one partition.
func (r *Reader) pause(partition int32, on bool) {
	r.mu.Lock()
	group := r.group
	r.mu.Unlock()
	which := map[string][]int32{r.cfg.Journal.Topic: {partition}}
	if on {
		group.Pause(which)
	} else {
		group.Resume(which)
	}
}

func (r *Reader) forget(partition int32) {
	r.progress.drop(partition)
	r.metrics.lag.DeleteLabelValues(label(partition))
	if r.progress.waitingOnes() == 0 { // another member waits for the book now
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waiting = ledger.TroubleNone
	}
}

// trouble logs what goes wrong with the brokers, not the same again and again.
func (r *Reader) trouble(err error) {
	var of *sarama.ConsumerError
	if errors.As(err, &of) && errors.Is(err, sarama.ErrOffsetOutOfRange) {
		err = fmt.Errorf("%w: the group's offset is not in the log: records may be lost; compare issued_count with what "+
			"users were promised, then set the offsets of group %s to the start of the log (%w)", coupon.ErrLogCut, r.cfg.Journal.Group, of)
		r.progress.with(of.Partition, func(s *state) { s.unread = err })
	}
	err = r.explain(err)
	r.mu.Lock()
	repeated := r.told == err.Error() && time.Since(r.toldAt) < complainEvery
	if !repeated {
		r.told, r.toldAt = err.Error(), time.Now()
	}
	r.mu.Unlock()
	if !repeated {
		r.log.Warn("trouble with the journal", "topic", r.cfg.Journal.Topic, "error", err)
	}
}

// complain logs that batches wait for the book: at once when it begins, when the trouble becomes another one, and every so
// often; one line for all partitions.
func (r *Reader) complain(partition int32, batch []ledger.Record, since time.Time, err error) {
	trouble := ledger.TroubleOf(err)
	if trouble == ledger.TroubleNone {
		trouble = ledger.TroubleOther
	}
	r.mu.Lock()
	told := time.Since(r.waitTold)
	repeated := r.waiting != ledger.TroubleNone && (told < complainEvery || r.waiting == trouble && told < remindEvery)
	if !repeated {
		r.waiting, r.waitTold = trouble, time.Now()
	}
	r.mu.Unlock()
	if !repeated {
		r.log.Warn("batches are not written; trying again until they are", "trouble", trouble, "partitions", r.progress.waitingOnes(),
			"since", since, "partition", partition, "records", len(batch), "offset", batch[0].Offset, "error", err)
	}
}

// relieved logs that no batch waits any more.
func (r *Reader) relieved(waited time.Duration) {
	if r.progress.waitingOnes() > 0 {
		return
	}
	r.mu.Lock()
	was := r.waiting
	r.waiting = ledger.TroubleNone
	r.mu.Unlock()
	if was != ledger.TroubleNone {
		r.log.Info("writing again", "was", was, "waited", waited)
	}
}

func (r *Reader) explain(err error) error {
	return kafkajournal.Explain(err, r.cfg.Journal.Brokers, r.cfg.Journal.Topic)
}
