package record

import (
	"errors"
	"fmt"
	"sync/atomic"
)

var (
	errTooLarge = errors.New("decompressed records are over the limit")
	errBudget   = errors.New("too much is being decompressed at this moment")
)

// A Budget bounds the memory of all decompressions of a process together. It
// never waits: what does not fit is refused.
type Budget struct {
	maxBytes int64
	used     atomic.Int64
}

// NewBudget makes a budget of so many bytes.
func NewBudget(maxBytes int64) *Budget { return &Budget{maxBytes: maxBytes} }

// Used is what is being held now, in bytes.
func (b *Budget) Used() int64 { return b.used.Load() }

func (b *Budget) take(n int64) bool {
	if b.used.Add(n) > b.maxBytes {
		b.used.Add(-n)
		return false
	}
	return true
}

// spending is the share that one decompression has of a budget.
type spending struct {
	limit  int // bytes of decompressed records
	budget *Budget
	taken  int64
}

// reserve accounts for a buffer of size bytes, in place of what it had.
func (s *spending) reserve(size int) error {
	more := int64(size) - s.taken
	if s.budget == nil || more <= 0 {
		return nil
	}
	if !s.budget.take(more) {
		return fmt.Errorf("%d bytes more: %w", more, errBudget)
	}
	s.taken += more
	return nil
}

// grow gives b room for more, in steps of factor, up to one byte over the
// limit so that going over shows.
func (s *spending) grow(b []byte, factor int) ([]byte, error) {
	if len(b) > s.limit || cap(b) > s.limit {
		return nil, fmt.Errorf("%d bytes: %w", s.limit, errTooLarge)
	}
	size := min(max(factor*cap(b), minDecompressed), s.limit+1)
	if err := s.reserve(size); err != nil {
		return nil, err
	}
	grown := make([]byte, len(b), size)
	copy(grown, b)
	return grown, nil
}

func (s *spending) release() {
	if s.budget != nil {
		s.budget.used.Add(-s.taken)
	}
	s.taken = 0
}
