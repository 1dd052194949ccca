package kafkajournal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second // how much later than the broker the journal is back at worst
	lookEvery    = 250 * time.Millisecond
)

// keeper keeps one line up: makes it, watches it, and makes another when it is in trouble.
type keeper struct {
	cfg   Config
	where *placing
	log   *slog.Logger
	tally *tally

	mu      sync.Mutex
	line    *line         // nil: none at the moment
	why     error         // there is none
	changed chan struct{} // closed when line or why changes

	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{} // no new line will be made, all are retired
	old      []*line       // of the keeper's goroutine until done: retired lines that may not be gone
}

func newKeeper(cfg Config, t *tally, log *slog.Logger) *keeper {
	k := &keeper{
		cfg: cfg, where: &placing{topic: cfg.Topic, most: cfg.Partitions}, log: log, tally: t, why: errors.New("not connected yet"),
		changed: make(chan struct{}), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go k.run()
	return k
}

// get waits for a line. The error says why there is none.
func (k *keeper) get(ctx context.Context) (*line, error) {
	for {
		l, changed, why := k.state()
		if l != nil {
			return l, nil
		}
		select {
		case <-changed:
		case <-k.stop:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", why, ctx.Err())
		}
	}
}

// state is the line, or nil and why there is none, and what is closed when that changes.
func (k *keeper) state() (l *line, changed <-chan struct{}, why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.line, k.changed, k.why
}

func (k *keeper) set(l *line, why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.line, k.why = l, why
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *keeper) run() {
	defer close(k.done)
	pause := firstPause
	var down time.Time // since when there is no line; zero: there is one, or never was
	for {
		l, err := k.open()
		switch {
		case errors.Is(err, ErrClosed):
			return
		case err != nil:
			err = k.cfg.explain(err)
			if down.IsZero() {
				down = time.Now()
				k.log.Warn("no connection to kafka; trying again until there is one", "topic", k.cfg.Topic, "error", err)
			}
			k.set(nil, err)
		default:
			k.log.Info("connected to kafka", "topic", k.cfg.Topic, "brokers", k.cfg.Brokers)
			down = time.Time{}
			k.set(l, nil)
			why := k.watch(l)
			k.set(nil, why) // first, so that who meets a retired line does not get it again
			k.retire(l)
			if errors.Is(why, ErrClosed) {
				return
			}
			k.log.Warn("replacing the connection to kafka", "topic", k.cfg.Topic, "error", why)
			if l.hasAcked() {
				pause = firstPause
			}
		}
		select {
		case <-time.After(pause):
		case <-k.stop:
			return
		}
		pause = min(2*pause, longestPause)
	}
}

func (k *keeper) retire(l *line) {
	k.old = slices.DeleteFunc(k.old, func(o *line) bool {
		select {
		case <-o.gone:
			return true
		default:
			return false
		}
	})
	k.old = append(k.old, l)
	l.retire()
}

// open makes a line; at a stop it leaves a connection attempt behind, which ends by its timeouts.
func (k *keeper) open() (*line, error) {
	type outcome struct {
		line *line
		err  error
	}
	opened := make(chan outcome, 1)
	go func() {
		l, err := openLine(k.cfg, k.where, k.tally)
		opened <- outcome{l, err}
	}()
	select {
	case o := <-opened:
		return o.line, o.err
	case <-k.stop:
		go func() {
			if o := <-opened; o.line != nil {
				o.line.retire()
			}
		}()
		return nil, ErrClosed
	}
}

// watch returns why the line should be replaced: ErrClosed at a stop, else what is wrong with it.
func (k *keeper) watch(l *line) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-k.stop:
			return ErrClosed
		case now := <-tick.C:
			partition, stalled := l.trouble(now)
			if stalled {
				return fmt.Errorf("no record was settled for %v", stalledFor)
			}
			if partition < 0 {
				continue
			}
			if err := k.look(l, partition); err != nil {
				return err
			}
		}
	}
}

// look decides about a partition that only fails: nil where nobody can help, because it has no leader while others
// have. Otherwise it is worth another line: there is a leader that this one's circuit breaker does not let it see, or
// there is no cluster at all, and then Append waits for the next line instead of failing at once.
func (k *keeper) look(l *line, partition int32) error {
	if err := usable(l.client, k.cfg.Topic); err != nil {
		return k.cfg.explain(err)
	}
	if _, err := l.client.Leader(k.cfg.Topic, partition); errors.Is(err, sarama.ErrLeaderNotAvailable) {
		return nil
	}
	return fmt.Errorf("partition %d has only failed for %v, though it has a leader", partition, failingFor)
}

// close stops keeping and waits until what is under way is settled, or ctx ends.
func (k *keeper) close(ctx context.Context) error {
	k.stopOnce.Do(func() { close(k.stop) })
	select {
	case <-k.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, l := range k.old {
		select {
		case <-l.gone:
		case <-ctx.Done():
			return fmt.Errorf("some records are not settled: %w", ctx.Err())
		}
	}
	return nil
}
