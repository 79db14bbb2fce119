package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"github.com/oncelog/oncelog/protocol/record"
)

// readTries is how often a read starts over when files vanish under it.
const readTries = 4

// Read appends whole stored batches to dst: the one that holds offset from and
// those after it, all below upTo, at most maxBytes of them. With minOne the
// first comes whole even if it is larger. dst grows if its free room is less.
// It waits for no writer and decodes nothing.
//
// Errors: ErrOutOfRange below the log start or above the log end, ErrCorrupt,
// those of the file system.
func (l *Log) Read(dst []byte, from, upTo int64, maxBytes int, minOne bool) ([]byte, error) {
	for try := 1; ; try++ {
		v := l.view.Load()
		if from < v.start || from > v.end() {
			return dst, fmt.Errorf("offset %d, log is %d to %d: %w", from, v.start, v.end(), ErrOutOfRange)
		}
		read, err := l.read(v, dst, from, min(upTo, v.end()), maxBytes, minOne)
		if err == nil || try == readTries || !vanished(err) {
			return read, err
		}
	}
}

// vanished says whether an error may come from reading a picture of the log
// that a deletion, compaction or truncation has made old.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrCorrupt)
}

func (l *Log) read(v *view, dst []byte, from, upTo int64, maxBytes int, minOne bool) ([]byte, error) {
	begin := len(dst)
	for n := v.find(from); from < upTo; n++ {
		s := v.at(n)
		if s == nil {
			break
		}
		left := maxBytes - (len(dst) - begin)
		if left <= 0 && len(dst) > begin {
			break
		}
		before := len(dst)
		next, more, err := l.readSegment(v, s, &dst, from, upTo, left, minOne && len(dst) == begin)
		if err != nil {
			return dst[:begin], err
		}
		if !more || len(dst) == before && next < s.next {
			break
		}
		from = next
	}
	return dst, nil
}

// readSegment appends the batches of one segment. It returns the offset to go
// on with, and whether to go on in the next segment.
func (l *Log) readSegment(v *view, s *segment, dst *[]byte, from, upTo int64, maxBytes int, minOne bool) (next int64, more bool, err error) {
	file, err := l.handles.acquire(s.files.log)
	if err != nil {
		return 0, false, err
	}
	defer l.handles.release(file)
	chain, position, err := l.chainFrom(v, s, file, from)
	defer l.done(&chain)
	if err != nil {
		return 0, false, err
	}
	if position >= s.size {
		return s.next, true, nil
	}
	begin := len(*dst)
	want := min(int64(maxBytes), s.size-position)
	if minOne {
		want = max(want, record.HeaderSize)
	}
	if want < record.HeaderSize {
		return from, false, nil
	}
	if err := extend(dst, file, position, int(want)); err != nil {
		return 0, false, fmt.Errorf("%s at %d: %w", s.files.log, position, eofIsCorrupt(err))
	}
	got, next, err := whole((*dst)[begin:], from, upTo, s.next)
	if got == 0 && err == nil && minOne {
		got, next, err = l.readFirst(s, dst, file, begin, position, from, upTo)
	}
	if err != nil {
		return 0, false, fmt.Errorf("%s at %d: %w", s.files.log, position, err)
	}
	*dst = (*dst)[:begin+got]
	if err := chain.checkAll(position, (*dst)[begin:]); err != nil {
		return 0, false, err
	}
	if got > 0 && position+int64(got) < s.size {
		s.hints.store(next-s.base, position+int64(got))
	}
	return next, position+int64(got) >= s.size, nil
}

// readFirst fetches the rest of a first batch that is larger than was asked for.
func (l *Log) readFirst(s *segment, dst *[]byte, file io.ReaderAt, begin int, position, from, upTo int64) (got int, next int64, err error) {
	header := record.Batch((*dst)[begin:])
	size := int64(header.Size())
	if header.NextOffset() > upTo {
		return 0, from, nil
	}
	if size > s.size-position {
		return 0, 0, fmt.Errorf("batch of %d bytes, %d are left: %w", size, s.size-position, ErrCorrupt)
	}
	have := len(*dst) - begin
	if err := extend(dst, file, position+int64(have), int(size)-have); err != nil {
		return 0, 0, eofIsCorrupt(err)
	}
	return whole((*dst)[begin:], from, upTo, s.next)
}

// extend reads n bytes behind dst.
func extend(dst *[]byte, file io.ReaderAt, position int64, n int) error {
	begin := len(*dst)
	*dst = slices.Grow(*dst, n)[:begin+n]
	got, err := file.ReadAt((*dst)[begin:], position)
	if got < n {
		return fmt.Errorf("%d bytes of %d: %w", got, n, errors.Join(io.ErrUnexpectedEOF, err))
	}
	return nil
}

// whole measures how many bytes of b are whole batches below upTo, of which the
// first must reach from, and the offset after them; their segment ends at end.
// Bytes that the disk has changed are an error, never served (promise 24): the
// checksum costs about 60 us a MiB.
func whole(b []byte, from, upTo, end int64) (got int, next int64, err error) {
	next = from
	for len(b)-got >= record.HeaderSize {
		batch := record.Batch(b[got:])
		if batch.Magic() != 2 || batch.Size() < record.HeaderSize || batch.LastOffset() < next || batch.NextOffset() > end || got > 0 && batch.BaseOffset() < next {
			return 0, 0, fmt.Errorf("no batch with offset %d: %w", next, ErrCorrupt)
		}
		if batch.Size() > len(b)-got || batch.NextOffset() > upTo {
			break
		}
		if stored := batch[:batch.Size()]; stored.Checksum() != stored.CRC() {
			return 0, 0, fmt.Errorf("batch at offset %d: checksum %08x, want %08x: %w", stored.BaseOffset(), stored.Checksum(), stored.CRC(), ErrCorrupt)
		}
		got += batch.Size()
		next = batch.NextOffset()
	}
	return got, next, nil
}

var rowBuffers = sync.Pool{New: func() any { return new([rowSize]byte) }}

// Row returns the row of an index.
//
// Errors: ErrNotFound at or below the boundary and above the end, ErrCorrupt.
func (l *Log) Row(index uint64) (Row, error) {
	for try := 1; ; try++ {
		s := l.view.Load().holder(index)
		if s == nil {
			return Row{}, fmt.Errorf("index %d: %w", index, ErrNotFound)
		}
		l.mu.Lock()
		row, ok := l.state.recent.get(index)
		l.mu.Unlock()
		if ok {
			return row, nil
		}
		row, err := l.readRow(s, index)
		if err == nil || try == readTries || !vanished(err) {
			return row, err
		}
	}
}

// BytesFrom is how many bytes of batches lie from an index on, 0 when it has no row.
func (l *Log) BytesFrom(index uint64) int64 {
	v := l.view.Load()
	s := v.holder(index)
	row, err := l.Row(index)
	if s == nil || err != nil {
		return 0
	}
	n := s.size - row.Position
	for _, later := range v.sealed {
		if later.base > s.base {
			n += later.size
		}
	}
	if !s.active {
		n += v.active.size
	}
	return n
}

func (l *Log) readRow(s *segment, index uint64) (Row, error) {
	file, err := l.handles.acquire(s.files.rows)
	if err != nil {
		return Row{}, err
	}
	defer l.handles.release(file)
	buf := rowBuffers.Get().(*[rowSize]byte)
	defer rowBuffers.Put(buf)
	if n, err := file.ReadAt(buf[:], s.rowPosition(index)); n < rowSize {
		return Row{}, fmt.Errorf("%s: row of index %d: %w", s.files.rows, index, eofIsCorrupt(errors.Join(io.ErrUnexpectedEOF, err)))
	}
	row, err := decodeRow(buf[:])
	if err == nil && row.Index != index {
		err = fmt.Errorf("row %d: %w", row.Index, ErrCorrupt)
	}
	if err != nil {
		err = fmt.Errorf("%s: row of index %d: %w", s.files.rows, index, err)
	}
	return row, err
}

// Payload appends the bytes of a row to buf: the batch, or what another kind
// carried. The row is looked up again after the bytes are read and their
// checksum is compared, so bytes of a truncated entry are never returned.
//
// Errors: ErrNotFound when the entry is gone, ErrCorrupt.
func (l *Log) Payload(row Row, buf []byte) ([]byte, error) {
	s := l.view.Load().holder(row.Index)
	if s == nil {
		return buf, fmt.Errorf("index %d: %w", row.Index, ErrNotFound)
	}
	if row.Size == 0 {
		return buf, nil
	}
	begin := len(buf)
	err := l.readPayload(s, row, &buf)
	if now, rowErr := l.Row(row.Index); rowErr != nil || now != row {
		return buf[:begin], fmt.Errorf("index %d was replaced: %w", row.Index, ErrNotFound)
	}
	if err != nil {
		return buf[:begin], err
	}
	return buf, nil
}

func (l *Log) readPayload(s *segment, row Row, buf *[]byte) error {
	if row.Inline() {
		*buf = append(*buf, row.inline...)
		return nil
	}
	name, position := s.files.payload, int64(row.PayloadPosition)
	if row.Kind == KindBatch {
		name, position = s.files.log, row.Position
	}
	file, err := l.handles.acquire(name)
	if err != nil {
		return err
	}
	defer l.handles.release(file)
	begin := len(*buf)
	if err := extend(buf, file, position, int(row.Size)); err != nil {
		return fmt.Errorf("%s at %d: %w", name, position, eofIsCorrupt(err))
	}
	if err := row.verify((*buf)[begin:]); err != nil {
		return fmt.Errorf("%s at %d: %w", name, position, err)
	}
	return nil
}

// verify says whether bytes are those the row was written for.
//
// Errors: ErrCorrupt.
func (r Row) verify(b []byte) error {
	if r.Kind != KindBatch {
		if sum := checksum(b); sum != r.CRC {
			return fmt.Errorf("payload of index %d: checksum %08x, want %08x: %w", r.Index, sum, r.CRC, ErrCorrupt)
		}
		return nil
	}
	batch, err := record.Peek(b)
	if err != nil || len(batch) != len(b) {
		return fmt.Errorf("index %d: no whole batch: %w", r.Index, ErrCorrupt)
	}
	if batch.BaseOffset() != r.BaseOffset || batch.LeaderEpoch() != int32(r.Term) || batch.CRC() != r.CRC || batch.Checksum() != r.CRC {
		return fmt.Errorf("index %d: batch at offset %d with checksum %08x, want %d and %08x: %w",
			r.Index, batch.BaseOffset(), batch.Checksum(), r.BaseOffset, r.CRC, ErrCorrupt)
	}
	return nil
}
