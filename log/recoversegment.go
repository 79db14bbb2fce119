package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"time"
)

// segment recovers one segment: its rows as far as they hold, then batches
// whose rows were lost, then nothing. end, if not negative, is the offset up to
// which it was synced.
func (r *recovery) segment(base int64, last bool, end int64) error {
	l := r.log
	s := segment{files: filesOf(l.dir, base), base: base, next: base, firstIndex: r.index + 1, sparse: newSparse(), hints: new(hints), ended: new(abortedList), active: true}
	w, err := l.openSegment(s.files)
	if err != nil {
		return err
	}
	l.releaseWriting(&l.w)
	l.w = w
	logSize, err := w.log.Size()
	if err != nil {
		return err
	}
	checked := int64(0) // batches below were synced
	if base == l.f.base {
		checked = l.f.position
	}
	scan := newScanner(w.log, logSize)
	defer scan.free()
	scan.buf = slices.Grow(scan.buf, 1<<18)[:1<<18]
	survivors, err := r.rows(&s, scan, checked)
	if err != nil {
		return err
	}
	rebuilt, err := r.reindex(&s, scan, survivors)
	if err != nil {
		return err
	}
	if base == l.f.base && s.size < checked || base < l.f.base && !last && s.size < logSize {
		return fmt.Errorf("%s: whole up to %d, but synced up to %d: %w", s.files.log, s.size, max(checked, logSize), ErrCorrupt)
	}
	if end >= 0 && s.next != end {
		return fmt.Errorf("%s and %s: whole up to offset %d, but synced up to %d: %w", s.files.log, s.files.rows, s.next, end, ErrCorrupt)
	}
	if base == l.f.base && int64(s.rows) < l.f.rows {
		return fmt.Errorf("%s: %d rows, but %d were synced: %w", s.files.rows, s.rows, l.f.rows, ErrCorrupt)
	}
	if err := l.tidy(&s, rebuilt, logSize); err != nil {
		return err
	}
	r.cut = s.size < logSize
	r.view.active = s
	if last {
		return nil
	}
	return r.seal()
}

// openSegment opens the files of a segment for writing, making missing ones.
func (l *Log) openSegment(files *segmentFiles) (w writing, err error) {
	w = writing{began: time.Now(), jitter: rand.Float64(), firstTimestamp: -1}
	if w.log, err = l.handles.acquire(files.log); err != nil {
		return w, err
	}
	if w.rows, err = l.handles.acquire(files.rows); errors.Is(err, fs.ErrNotExist) {
		w.rows, err = l.handles.create(files.rows)
	}
	if err != nil {
		l.releaseWriting(&w)
	}
	return w, err
}

// rows takes the rows of a segment in order and stops at the first that does
// not continue the log or whose bytes are not there. What stands behind an
// unreadable row comes back by index: it must agree with what is made anew.
//
// Errors: ErrCorrupt when a row is unreadable that had been synced.
func (r *recovery) rows(s *segment, scan *scanner, checked int64) (survivors map[uint64]Row, err error) {
	size, err := r.log.w.rows.Size()
	if err != nil {
		return nil, err
	}
	file := newScanner(r.log.w.rows, size)
	defer file.free()
	for at := int64(0); at+rowSize <= size; at += rowSize {
		b, err := file.bytes(at, rowSize)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.files.rows, err)
		}
		row, err := decodeRow(b)
		if err != nil || !r.continues(s, row) {
			return r.survivors(s, file, at+rowSize)
		}
		whole, err := r.holds(s, scan, row, checked)
		if err != nil || !whole {
			return nil, err
		}
		r.take(s, row)
	}
	return nil, nil
}

// survivors reads the rows behind an unreadable one, from a position of their
// file on. If one of them is of a kind that is synced at once, so was the
// unreadable one.
func (r *recovery) survivors(s *segment, file *scanner, at int64) (map[uint64]Row, error) {
	rows := make(map[uint64]Row)
	for index := r.index + 2; at+rowSize <= file.end; at, index = at+rowSize, index+1 {
		b, err := file.bytes(at, rowSize)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.files.rows, err)
		}
		row, err := decodeRow(b)
		if err != nil || row.Index != index {
			continue
		}
		if row.Kind != KindBatch && row.Kind != KindNoop {
			return nil, fmt.Errorf("%s: row %d unreadable, but row %d was synced after it: %w", s.files.rows, r.index+1, index, ErrCorrupt)
		}
		rows[index] = row
	}
	return rows, nil
}

// continues says whether a row is the next one.
func (r *recovery) continues(s *segment, row Row) bool {
	return row.Index == r.index+1 && row.Term >= r.term && row.BaseOffset == r.next &&
		row.Position == s.size && int64(row.PayloadPosition) == r.log.w.payloadSize
}

// holds says whether the bytes of a row are there and right. Those known to be
// synced are not read again.
func (r *recovery) holds(s *segment, scan *scanner, row Row, checked int64) (bool, error) {
	if row.Size == 0 || row.Inline() {
		return true, nil
	}
	if row.Kind != KindBatch {
		var b []byte
		err := r.log.readPayload(s, row, &b)
		if err == nil || !vanished(err) {
			return err == nil, err
		}
		if r.synced(s, scan, row) {
			return false, err
		}
		return false, nil
	}
	end := row.Position + int64(row.Size)
	if end > scan.end {
		return false, nil
	}
	if end <= checked {
		return true, nil
	}
	b, err := scan.bytes(row.Position, int(row.Size))
	if err != nil {
		return false, ignoreEOF(err)
	}
	return row.verify(b) == nil, nil
}

// synced says that a row with a payload was on the disk for certain: by what is
// noted as flushed, or because a batch was written behind it. The very first row
// is not synced on its own.
func (r *recovery) synced(s *segment, scan *scanner, row Row) bool {
	f := r.log.f
	if s.base < f.base || s.base == f.base && int64(s.rows) < f.rows {
		return true
	}
	b, err := scan.batch(s.size)
	return err == nil && row.Index > 1 && b.BaseOffset() == r.next && b.Checksum() == b.CRC()
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// take makes a row part of the log.
func (r *recovery) take(s *segment, row Row) {
	r.log.replayRow(s, &r.built, row, r.log.cfg.IndexIntervalBytes, time.Now())
	s.rows++
	if row.Kind == KindBatch {
		s.size = row.Position + int64(row.Size)
	}
	r.log.w.payloadSize += row.payloadBytes()
	s.next = row.NextOffset()
	r.index, r.term, r.next = row.Index, row.Term, s.next
}

// reindex makes the rows of whole batches behind the last row, which a power
// loss took while the batches stayed. That is proven only within one term: rows
// of other kinds are synced before a later batch is written, so no index lies
// between; and a term begins with a noop, whose loss the leader epoch of the
// batches behind it shows.
//
// Errors: ErrCorrupt when a row that was left says otherwise.
func (r *recovery) reindex(s *segment, scan *scanner, survivors map[uint64]Row) (rebuilt []byte, err error) {
	disagrees := func(left Row) error {
		return fmt.Errorf("%s: row %d says offset %d at %d, the batches say otherwise: %w", s.files.rows, left.Index, left.BaseOffset, left.Position, ErrCorrupt)
	}
	for s.size < scan.end {
		b, err := scan.batch(s.size)
		if err != nil {
			if !vanished(err) {
				return nil, err
			}
			break
		}
		if b.BaseOffset() != r.next || uint64(uint32(b.LeaderEpoch())) != r.term || b.Checksum() != b.CRC() {
			break
		}
		row, err := batchRow(b)
		if err != nil {
			break
		}
		row.Index, row.Term, row.Position, row.PayloadPosition = r.index+1, r.term, s.size, int32(r.log.w.payloadSize)
		if left, ok := survivors[row.Index]; ok && left != row {
			return nil, disagrees(left)
		}
		delete(survivors, row.Index)
		rebuilt = appendRow(rebuilt, row)
		r.take(s, row)
	}
	for _, left := range survivors {
		if left.BaseOffset < r.next {
			return nil, disagrees(left)
		}
	}
	return rebuilt, nil
}

// tidy makes the files hold what was recovered and nothing behind it.
func (l *Log) tidy(s *segment, rebuilt []byte, logSize int64) error {
	rowsSize, err := l.w.rows.Size()
	if err != nil {
		return err
	}
	wanted := int64(s.rows) * rowSize
	if len(rebuilt) > 0 || rowsSize != wanted {
		if err := l.w.rows.Truncate(wanted - int64(len(rebuilt))); err != nil {
			return err
		}
		if _, err := l.w.rows.WriteAt(rebuilt, wanted-int64(len(rebuilt))); err != nil {
			return err
		}
		if err := l.w.rows.Sync(); err != nil {
			return err
		}
	}
	l.w.reserved = s.size
	if logSize > s.size {
		l.logger.Info("log ends before its file", "dir", l.dir, "offset", s.next, "bytes_dropped", logSize-s.size)
		if err := shorten(l.w.log, s.size); err != nil {
			return err
		}
	}
	return l.shortenPayload(s.files.payload, l.w.payloadSize)
}

// seal makes the recovered segment a sealed one: more follow.
func (r *recovery) seal() error {
	l, s := r.log, r.view.active
	r.cut = r.cut || s.size == 0 // a segment is sealed only behind a batch
	if r.cut {
		return nil
	}
	if err := l.writeIndexes(&s, r.built.epochs); err != nil {
		return err
	}
	if err := writeFile(l.fs, snapshotPath(l.dir, s.next), r.built.producers.encode(), false); err != nil {
		return err
	}
	s.active, s.index, s.times, s.aborted = false, nil, nil, nil
	r.view.sealed = append(r.view.sealed, &s)
	l.dirty.segments = append(l.dirty.segments, &s)
	return nil
}

// dropFrom removes segments that do not continue the log.
func (l *Log) dropFrom(bases []int64) error {
	for _, base := range slices.Backward(bases) {
		if err := l.removeSegment(&segment{files: filesOf(l.dir, base), base: base}); err != nil {
			return err
		}
	}
	return l.fs.SyncDir(l.dir)
}
