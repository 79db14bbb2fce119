package bench

import (
	"fmt"
	"slices"
)

// A Check is what a run found out about its own data.
type Check struct {
	OK         bool     `json:"ok"`
	Written    int64    `json:"written"` // records that were acknowledged and not aborted
	Stored     int64    `json:"stored"`  // records by the offsets of the log; -1: not asked
	Read       int64    `json:"read"`    // records that were read; -1: none were to be
	Missing    int64    `json:"missing"`
	Duplicates int64    `json:"duplicates"`
	OutOfOrder int64    `json:"out_of_order"`
	Damaged    int64    `json:"damaged"`
	Aborted    int64    `json:"aborted_visible"` // records of aborted transactions that were read
	Problems   []string `json:"problems"`        // in words; empty when all is well
}

// problemf notes what is wrong, the first few.
func (c *Check) problemf(format string, args ...any) {
	if len(c.Problems) < 10 {
		c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
	}
}

// A stream is what a reader has seen of one producer in one partition, whose
// sequences are 0, 1, 2, ... in the order of the log.
type stream struct {
	next    int64
	missing []span // below next, rising
}

// A span is a range of sequences, end excluded.
type span struct{ start, end int64 }

// A verdict is what a record is by its sequence.
type verdict int

const (
	inOrder verdict = iota
	early           // those between are missing until they come
	late            // it was missing
	duplicate
)

// see judges the next record.
func (s *stream) see(sequence int64) verdict {
	switch {
	case sequence == s.next:
		s.next++
		return inOrder
	case sequence > s.next:
		s.missing = append(s.missing, span{s.next, sequence})
		s.next = sequence + 1
		return early
	}
	for i, gap := range s.missing {
		if sequence < gap.start || sequence >= gap.end {
			continue
		}
		rest := slices.DeleteFunc([]span{{gap.start, sequence}, {sequence + 1, gap.end}}, func(s span) bool { return s.start == s.end })
		s.missing = slices.Replace(s.missing, i, i+1, rest...)
		return late
	}
	return duplicate
}

// lacks is how many of the first written sequences never came.
func (s *stream) lacks(written int64) int64 {
	lacking := max(0, written-s.next)
	for _, gap := range s.missing {
		lacking += max(0, min(gap.end, written)-gap.start)
	}
	return lacking
}
