package log

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// A segment is one file of batches and what stands beside it. Its fields never
// change; the active segment is copied anew with every append.
type segment struct {
	files *segmentFiles
	base  int64 // offset of the first batch ever stored in it
	next  int64 // base of the segment after it, or the log end
	size  int64 // bytes of batches
	clean bool  // part of the clean prefix: it has no rows

	firstIndex uint64
	rows       int

	sparse               // index and times are those of the active segment; a sealed one has them in its files
	aborted []AbortedTxn // as index: what its .txnindex will hold
	ended   *abortedList // of a sealed segment, once read
	sums    *sums        // of a sealed segment
	active  bool
	hints   *hints

	headCount int64 // of a segment of the clean prefix, while it is written
}

// lastIndex is the newest index of the segment, firstIndex-1 if it has none.
func (s *segment) lastIndex() uint64 { return s.firstIndex + uint64(s.rows) - 1 }

// abortedList keeps the short list of a sealed segment's aborted transactions.
type abortedList struct{ atomic.Pointer[[]AbortedTxn] }

// hints remembers where batches begin that were read up to, so that a reader
// who goes on needs no index. Both halves fit in 32 bits as segments are < 2 GiB.
type hints [8]atomic.Uint64

func (h *hints) slot(relative uint32) *atomic.Uint64 { return &h[relative*2654435769>>29] }

func (h *hints) store(relative, position int64) {
	h.slot(uint32(relative)).Store(uint64(relative)<<32 | uint64(position))
}

func (h *hints) load(relative int64) (position int64, ok bool) {
	hint := h.slot(uint32(relative)).Load()
	return int64(hint & (1<<32 - 1)), hint != 0 && int64(hint>>32) == relative
}

// A view is what readers see of the log: one immutable picture, replaced by every change.
type view struct {
	clean, sealed []*segment // by offset; all of clean before all of sealed
	active        segment
	boundary      *Boundary
	start         int64
	lastTerm      uint64
	epochs        epochs
}

func (v *view) end() int64        { return v.active.next }
func (v *view) lastIndex() uint64 { return v.active.lastIndex() }

// all lists the segments by offset.
func (v *view) all() []*segment {
	return append(slices.Concat(v.clean, v.sealed), &v.active)
}

// at returns the nth segment by offset, nil after the last.
func (v *view) at(n int) *segment {
	switch {
	case n < len(v.clean):
		return v.clean[n]
	case n < len(v.clean)+len(v.sealed):
		return v.sealed[n-len(v.clean)]
	case n == len(v.clean)+len(v.sealed):
		return &v.active
	}
	return nil
}

// find is the number of the segment that holds an offset, or where a reader of it begins.
func (v *view) find(offset int64) int {
	low, high := 0, len(v.clean)+len(v.sealed)
	for low < high {
		middle := (low + high) / 2
		if v.at(middle).next <= offset {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// holder is the segment with the row of an index, nil if there is none.
func (v *view) holder(index uint64) *segment {
	if index <= v.boundary.Index || index > v.lastIndex() {
		return nil
	}
	n, found := slices.BinarySearchFunc(v.sealed, index, func(s *segment, want uint64) int {
		switch {
		case s.lastIndex() < want:
			return -1
		case s.firstIndex > want:
			return 1
		}
		return 0
	})
	if found {
		return v.sealed[n]
	}
	return &v.active
}

// A scanner reads batch headers, or whole batches, of one file in chunks.
type scanner struct {
	file vfs.File
	end  int64 // nothing at or behind it is read
	buf  []byte
	at   int64 // file position of held[0]
	held []byte
}

// scanChunk is what a scanner reads at once.
const scanChunk = 16 << 10

var scanners = sync.Pool{New: func() any { return &scanner{buf: make([]byte, scanChunk)} }}

func newScanner(file vfs.File, end int64) *scanner {
	s := scanners.Get().(*scanner)
	s.file, s.end, s.held = file, end, nil
	return s
}

// free gives the scanner back; what it returned ends with it.
func (s *scanner) free() {
	s.file, s.held = nil, nil
	if cap(s.buf) <= 1<<20 {
		scanners.Put(s)
	}
}

// bytes returns n bytes at a position, valid until the next call.
func (s *scanner) bytes(position int64, n int) ([]byte, error) {
	if position < s.at || position+int64(n) > s.at+int64(len(s.held)) {
		if n > len(s.buf) {
			s.buf = make([]byte, n)
		}
		want := min(int64(len(s.buf)), s.end-position)
		if want < int64(n) {
			return nil, io.ErrUnexpectedEOF
		}
		got, err := s.file.ReadAt(s.buf[:want], position)
		if got < n {
			return nil, errors.Join(io.ErrUnexpectedEOF, err)
		}
		s.at, s.held = position, s.buf[:got]
	}
	from := position - s.at
	return s.held[from : from+int64(n)], nil
}

// header returns the header of the batch at a position; only header methods may be used.
//
// Errors: io.ErrUnexpectedEOF at the end, ErrCorrupt.
func (s *scanner) header(position int64) (record.Batch, error) {
	b, err := s.bytes(position, record.HeaderSize)
	if err != nil {
		return nil, err
	}
	batch := record.Batch(b)
	if batch.Magic() != 2 || batch.Size() < record.HeaderSize || batch.LastOffsetDelta() < 0 {
		return nil, fmt.Errorf("no batch at position %d: %w", position, ErrCorrupt)
	}
	return batch, nil
}

// batch returns the whole batch at a position.
//
// Errors: as header.
func (s *scanner) batch(position int64) (record.Batch, error) {
	header, err := s.header(position)
	if err != nil {
		return nil, err
	}
	if int64(header.Size()) > s.end-position {
		return nil, io.ErrUnexpectedEOF
	}
	b, err := s.bytes(position, header.Size())
	return record.Batch(b), err
}

// floor asks the offset index for a position at or before the batch with offset,
// and for the last offset of the batch there; -1 if it is the first one.
func (l *Log) floor(s *segment, scratch []byte, offset int64) (position, last int64, err error) {
	relative, e := int32(min(offset-s.base, 1<<31-1)), indexEntry{offset: -1}
	if s.active {
		e = floorEntry(s.index, relative)
	} else if usable, err := l.indexed(s); err != nil {
		return 0, -1, err
	} else if usable {
		file, err := l.handles.acquire(s.files.index)
		if err != nil {
			return 0, -1, err
		}
		defer l.handles.release(file)
		if e, err = floorEntryFile(file, scratch, relative); err != nil {
			return 0, -1, err
		}
	}
	if e.offset < 0 {
		return 0, -1, nil
	}
	return int64(e.position), s.base + int64(e.offset), nil
}
