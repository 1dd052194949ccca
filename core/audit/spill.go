package audit

import (
	"errors"
	"fmt"
	"os"
)

const (
	// spillBlock is the buffer of one bucket; maxBuckets of them are 16 MB.
	spillBlock = 16 << 10
	maxBuckets = 1024
	// bucketEntries is how many entries a bucket is meant to have: with about 200 bytes each in memory, 20 MB.
	bucketEntries = 100_000
)

// spill puts entries aside on disk, in buckets that fit in memory one at a time. All entries of a user are in one bucket.
type spill struct {
	file   *os.File
	size   int64
	blocks [][]block
	bufs   [][]byte
}

type block struct {
	at   int64
	size int
}

// newSpill makes one for about so many entries, in a file without a name: it is gone with the process.
func newSpill(dir string, entries int64) (*spill, error) {
	n := min(max(entries/bucketEntries+1, 4), maxBuckets)
	file, err := os.CreateTemp(dir, "firstcome-audit-*")
	if err != nil {
		return nil, fmt.Errorf("put aside on disk: %w", err)
	}
	if err = os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("put aside on disk: %w", err), file.Close())
	}
	return &spill{file: file, blocks: make([][]block, n), bufs: make([][]byte, n)}, nil
}

func (s *spill) close() error { return s.file.Close() }

// add puts an entry into the bucket of its hash.
func (s *spill) add(hash uint64, e *entry) error {
	i := hash % uint64(len(s.bufs))
	if s.bufs[i] == nil {
		s.bufs[i] = make([]byte, 0, spillBlock)
	}
	if len(s.bufs[i]) > spillBlock-1024 { // an entry has at most 400 bytes
		if err := s.flush(i); err != nil {
			return err
		}
	}
	s.bufs[i] = e.append(s.bufs[i])
	return nil
}

func (s *spill) flush(i uint64) error {
	if _, err := s.file.WriteAt(s.bufs[i], s.size); err != nil {
		return fmt.Errorf("put aside on disk: %w", err)
	}
	s.blocks[i] = append(s.blocks[i], block{at: s.size, size: len(s.bufs[i])})
	s.size += int64(len(s.bufs[i]))
	s.bufs[i] = s.bufs[i][:0]
	return nil
}

// bucket reads a bucket's entries behind into.
func (s *spill) bucket(i int, into []entry) ([]entry, error) {
	read := func(b []byte) error {
		for len(b) > 0 {
			var e entry
			var err error
			if b, err = e.read(b); err != nil {
				return err
			}
			into = append(into, e)
		}
		return nil
	}
	buf := make([]byte, spillBlock)
	for _, at := range s.blocks[i] {
		part := buf[:at.size]
		if _, err := s.file.ReadAt(part, at.at); err != nil {
			return nil, fmt.Errorf("read what was put aside: %w", err)
		}
		if err := read(part); err != nil {
			return nil, err
		}
	}
	return into, read(s.bufs[i])
}

// hashOf is FNV-1a: the same in every run, so that two passes meet their findings in one order.
func hashOf(text string, number int64) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * prime
	}
	for range 8 {
		h = (h ^ uint64(number&0xff)) * prime
		number >>= 8
	}
	return h ^ h>>32
}
