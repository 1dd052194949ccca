package groupreader

import (
	"fmt"
	"sync"
	"time"
)

// progress knows how each partition's writing goes. Times are of a monotonic clock.
type progress struct {
	mu         sync.Mutex
	partitions map[int32]*state
}

type state struct {
	began   time.Time // of the attempt that is going on; zero: none is
	since   time.Time // of the first failure since the last success; zero: none
	failure error
	next    int64 // the offset after the last one marked
	unread  error // why the partition cannot be read at all
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
