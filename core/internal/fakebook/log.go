package fakebook

import (
	"context"
	"hash/fnv"
	"sync"

	"github.com/firstcome/firstcome/core/coupon"
)

// Log is a journal in memory, with the offsets that one group of consumers has committed.
type Log struct {
	mu        sync.Mutex
	parts     [][]coupon.Place
	committed map[int32]int64
	start     map[int32]int64 // first offset that is still there
}

// NewLog makes a journal of so many partitions.
func NewLog(partitions int) *Log {
	return &Log{parts: make([][]coupon.Place, partitions), committed: map[int32]int64{}, start: map[int32]int64{}}
}

// Append adds a record; all records of a user are in one partition.
func (l *Log) Append(_ context.Context, p coupon.Place) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.PartitionOf(p.UserID)
	l.parts[n] = append(l.parts[n], p)
	return nil
}

// PartitionOf is where a user's records are.
func (l *Log) PartitionOf(user string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user)) // never fails
	return int32(h.Sum32() % uint32(len(l.parts)))
}

// Ends are the end offsets.
func (l *Log) Ends(context.Context) (map[int32]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ends := map[int32]int64{}
	for n, part := range l.parts {
		ends[int32(n)] = int64(len(part))
	}
	return ends, nil
}

// Committed are the group's offsets.
func (l *Log) Committed(context.Context) (map[int32]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[int32]int64{}
	for n := range l.parts {
		out[int32(n)] = l.committed[int32(n)]
		if l.committed[int32(n)] < l.start[int32(n)] {
			return nil, coupon.ErrLogCut
		}
	}
	return out, nil
}

// Read tells records.
func (l *Log) Read(ctx context.Context, from, to map[int32]int64, each func(int32, int64, coupon.Place) error) error {
	for n, start := range from {
		for offset := start; offset < to[n]; offset++ {
			p, ok := l.At(n, offset)
			if !ok {
				return coupon.ErrLogCut
			}
			if err := each(n, offset, p); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// At is the record at an offset.
func (l *Log) At(partition int32, offset int64) (coupon.Place, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if offset < l.start[partition] || offset >= int64(len(l.parts[partition])) {
		return coupon.Place{}, false
	}
	return l.parts[partition][offset], true
}

// Commit marks everything below an offset as done.
func (l *Log) Commit(partition int32, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committed[partition] = offset
}

// Cut drops everything below an offset.
func (l *Log) Cut(partition int32, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start[partition] = offset
}

// Records are all records.
func (l *Log) Records() []coupon.Place {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []coupon.Place
	for _, part := range l.parts {
		out = append(out, part...)
	}
	return out
}

// Grow adds partitions, up to so many; users' later records may go to others than before.
func (l *Log) Grow(partitions int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.parts) < partitions {
		l.parts = append(l.parts, nil)
	}
}
