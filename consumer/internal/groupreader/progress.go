package groupreader

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/core/ledger"
)

// waitMetrics shows the waiting when it is asked for.
type waitMetrics struct {
	progress   *progress
	partitions *prometheus.Desc
	seconds    *prometheus.Desc
}

func newWaitMetrics(p *progress) *waitMetrics {
	return &waitMetrics{
		progress: p,
		partitions: prometheus.NewDesc("firstcome_consumer_waiting_partitions",
			"Partitions of this member whose batch waits for the database, by the trouble that it has.", []string{"trouble"}, nil),
		seconds: prometheus.NewDesc("firstcome_consumer_waiting_seconds",
			"How long the longest of them has waited; 0: none waits.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *waitMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.partitions
	ch <- m.seconds
}

// Collect implements prometheus.Collector.
func (m *waitMetrics) Collect(ch chan<- prometheus.Metric) {
	by, longest := m.progress.waits(time.Now())
	for _, trouble := range ledger.Troubles() {
		ch <- prometheus.MustNewConstMetric(m.partitions, prometheus.GaugeValue, float64(by[trouble]), string(trouble))
	}
	ch <- prometheus.MustNewConstMetric(m.seconds, prometheus.GaugeValue, longest.Seconds())
}

// progress knows how each partition's writing goes. Times are of a monotonic clock.
type progress struct {
	mu         sync.Mutex
	partitions map[int32]*state
}

type state struct {
	began   time.Time // of the attempt that is going on; zero: none is
	since   time.Time // of the first failure since the last success; zero: none
	failure error
	oldest  time.Time // when the first place of the batch in hand was accepted, by the gate's clock; zero: none, or not known
	next    int64     // the offset after the last one marked
	unread  error     // why the partition cannot be read at all
}

func newProgress() *progress { return &progress{partitions: map[int32]*state{}} }

// with changes the state of a partition that is claimed.
func (p *progress) with(partition int32, change func(*state)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.partitions[partition]
	if s == nil {
		s = &state{}
		p.partitions[partition] = s
	}
	change(s)
}

// reset forgets all partitions: a new session begins.
func (p *progress) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.partitions)
}

func (p *progress) drop(partition int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.partitions, partition)
}

func (p *progress) began(partition int32, now time.Time) {
	p.with(partition, func(s *state) { s.began = now })
}

// holds notes when the first place of the batch in hand was accepted.
func (p *progress) holds(partition int32, accepted time.Time) {
	p.with(partition, func(s *state) { s.oldest = accepted })
}

// age is how long ago the oldest place that is read and not written was accepted.
func (p *progress) age(now time.Time) (age time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.partitions {
		if !s.oldest.IsZero() {
			age = max(age, now.Sub(s.oldest))
		}
	}
	return age
}

// failed notes the end of an attempt and returns since when there have been only failures.
func (p *progress) failed(partition int32, now time.Time, err error) (since time.Time) {
	p.with(partition, func(s *state) {
		s.began, s.failure = time.Time{}, err
		if s.since.IsZero() {
			s.since = now
		}
		since = s.since
	})
	return since
}

func (p *progress) wrote(partition int32, next int64) {
	p.with(partition, func(s *state) { *s = state{next: next} })
}

// stuck is an attempt that has been going on for longer than the given time.
func (p *progress) stuck(now time.Time, after time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for partition, s := range p.partitions {
		if !s.began.IsZero() && now.Sub(s.began) > after {
			return fmt.Errorf("partition %d: a write has not ended since %s", partition, clock(s.began))
		}
	}
	return nil
}

// waiting is the longest wait for the book.
func (p *progress) waiting() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var longest *state
	n := 0
	for _, s := range p.partitions {
		if s.since.IsZero() {
			continue
		}
		n++
		if longest == nil || s.since.Before(longest.since) {
			longest = s
		}
	}
	if longest == nil {
		return nil
	}
	return fmt.Errorf("waiting for the database since %s, %d partitions: %w", clock(longest.since), n, longest.failure)
}

// waitingOnes is how many partitions wait.
func (p *progress) waitingOnes() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.partitions {
		if !s.since.IsZero() {
			n++
		}
	}
	return n
}

// waits are the waiting partitions by trouble, and how long the longest has waited.
func (p *progress) waits(now time.Time) (by map[ledger.Trouble]int, longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	by = map[ledger.Trouble]int{}
	for _, s := range p.partitions {
		if s.since.IsZero() {
			continue
		}
		trouble := ledger.TroubleOf(s.failure)
		if trouble == ledger.TroubleNone {
			trouble = ledger.TroubleOther
		}
		by[trouble]++
		longest = max(longest, now.Sub(s.since))
	}
	return by, longest
}

// unreadable is a partition that the log cannot give us.
func (p *progress) unreadable() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for partition, s := range p.partitions {
		if s.unread != nil {
			return fmt.Errorf("partition %d: %w", partition, s.unread)
		}
	}
	return nil
}

// nexts are the offsets from which the claimed partitions go on.
func (p *progress) nexts() map[int32]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[int32]int64, len(p.partitions))
	for partition, s := range p.partitions {
		if s.unread == nil {
			all[partition] = s.next
		}
	}
	return all
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
