package log

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/oncelog/oncelog/protocol/record"
)

// TruncateSuffix removes the entries from an index on, and with them what
// followed from them: producer state, epochs, aborted transactions. When it
// returns, the removal lasts.
//
// Errors: ErrNotFound for an index at or below the boundary, ErrFailed,
// ErrClosed, those of the file system (then the log takes no more changes).
func (l *Log) TruncateSuffix(fromIndex uint64) error {
	l.writer.take()
	defer l.writer.give()
	if err := l.usable(); err != nil {
		return err
	}
	v := l.view.Load()
	switch {
	case fromIndex <= v.boundary.Index:
		return fmt.Errorf("truncate from index %d, boundary is %d: %w", fromIndex, v.boundary.Index, ErrNotFound)
	case fromIndex > v.lastIndex():
		return nil
	}
	return l.fail(l.truncate(fromIndex))
}

// cut is where a truncation ends the log.
type cut struct {
	segment  segment // the one that stays as the active one, as it will be
	payload  int64   // size of its payload file
	lastTerm uint64
}

// truncate removes what is stored from an index on, be it in the view or only
// half written by a failed append. The order makes every crash in between leave
// a prefix of the older log: later segments, then batches, then rows. The
// caller holds writer.
func (l *Log) truncate(from uint64) error {
	l.syncer.take()
	defer l.syncer.give()
	c, err := l.cutAt(from)
	if err != nil {
		return err
	}
	s := &c.segment
	if err := l.unflush(s.base, s.size, int64(s.rows)); err != nil {
		return err
	}
	if err := l.dropSegmentsAfter(s.base); err != nil {
		return err
	}
	w, err := l.cutFiles(c)
	if err != nil {
		return err
	}
	previous := l.w
	l.w = w
	l.releaseWriting(&previous)
	return l.rebuild(c)
}

// cutAt finds the segment that becomes the active one and where it ends.
func (l *Log) cutAt(from uint64) (c cut, err error) {
	v := l.view.Load()
	c.lastTerm = v.boundary.Term
	if from > v.boundary.Index+1 {
		row, err := l.Row(from - 1)
		if err != nil {
			return c, err
		}
		c.lastTerm = row.Term
	}
	if from > v.lastIndex() {
		c.segment, c.payload = v.active, l.w.payloadSize
		return c, nil
	}
	c.segment = *v.holder(from)
	row, err := l.readRow(&c.segment, from)
	if err != nil {
		return c, err
	}
	s := &c.segment
	s.size, s.next, s.rows, c.payload = row.Position, row.BaseOffset, int(from-s.firstIndex), int64(row.PayloadPosition)
	return c, nil
}

// dropSegmentsAfter removes the segments behind the one that begins at base.
func (l *Log) dropSegmentsAfter(base int64) error {
	v := l.view.Load()
	var later []*segment
	for _, s := range append(v.sealed[:len(v.sealed):len(v.sealed)], &v.active) {
		if s.base > base {
			later = append(later, s)
		}
	}
	if len(later) == 0 {
		return nil
	}
	for i := len(later) - 1; i >= 0; i-- {
		if err := l.removeSegment(later[i]); err != nil {
			return err
		}
	}
	return l.fs.SyncDir(l.dir)
}

// removeSegment removes a segment's files and the snapshot at its base.
func (l *Log) removeSegment(s *segment) error {
	for _, name := range append(s.files.all(), snapshotPath(l.dir, s.base)) {
		if err := l.handles.discard(name); err != nil {
			return err
		}
	}
	return nil
}

// cutFiles shortens the files of the segment and opens them for writing.
func (l *Log) cutFiles(c cut) (w writing, err error) {
	w = writing{payloadSize: c.payload, reserved: c.segment.size, began: time.Now(), jitter: rand.Float64(), firstTimestamp: -1,
		rowBuf: l.w.rowBuf, batchBuf: l.w.batchBuf, prepared: l.w.prepared}
	files := c.segment.files
	if w.log, err = l.handles.acquire(files.log); err != nil {
		return w, err
	}
	defer func() {
		if err != nil {
			l.releaseWriting(&w)
		}
	}()
	if w.rows, err = l.handles.acquire(files.rows); err != nil {
		return w, err
	}
	if err = shorten(w.log, c.segment.size); err != nil {
		return w, err
	}
	if err = shorten(w.rows, int64(c.segment.rows)*rowSize); err != nil {
		return w, err
	}
	err = l.shortenPayload(files.payload, c.payload)
	return w, err
}

// shortenPayload cuts a payload file, if there is one.
func (l *Log) shortenPayload(name string, size int64) error {
	file, err := l.handles.acquire(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.handles.release(file)
	if now, err := file.Size(); err != nil || now == size {
		return err
	}
	return shorten(file, size)
}

// shorten cuts a file and makes that last.
func shorten(file *handle, size int64) error {
	if err := file.Truncate(size); err != nil {
		return err
	}
	return file.Sync()
}

// rebuild makes the state that follows from what is left, out of the newest
// producer snapshot and the rows behind it (hard-08), and publishes it.
func (l *Log) rebuild(c cut) error {
	v := *l.view.Load()
	s := c.segment
	s.active, s.sparse, s.aborted, s.hints, s.ended, s.sums = true, newSparse(), nil, new(hints), new(abortedList), nil
	var sealed []*segment
	for _, old := range v.sealed {
		if old.base < s.base {
			sealed = append(sealed, old)
		}
	}
	v.sealed, v.active, v.lastTerm = sealed, s, c.lastTerm
	p, err := l.producersAt(&v, s.base)
	if err != nil {
		return err
	}
	l.mu.Lock()
	built := state{producers: p, epochs: l.state.epochs.truncate(int32(c.lastTerm))}
	l.mu.Unlock()
	if err := l.replayActive(&v.active, &built); err != nil {
		return err
	}
	l.mu.Lock()
	l.state, v.epochs = built, built.epochs
	l.dirty.segments = keepBefore(l.dirty.segments, s.base)
	l.view.Store(&v)
	l.mu.Unlock()
	return nil
}

func keepBefore(list []*segment, base int64) (kept []*segment) {
	for _, s := range list {
		if s.base < base {
			kept = append(kept, s)
		}
	}
	return kept
}

// replayActive brings the state from the base of a segment to its end.
func (l *Log) replayActive(s *segment, built *state) error {
	interval, now := l.Config().IndexIntervalBytes, time.Now()
	l.w.firstTimestamp = -1
	return l.eachRow(s, s.firstIndex, func(row Row) error {
		l.replayRow(s, built, row, interval, now)
		return nil
	})
}

// replayRow adds one row of the active segment to what follows from rows.
func (l *Log) replayRow(s *segment, built *state, row Row, interval int32, now time.Time) {
	if txn, ok := built.add(row, now); ok {
		s.aborted = append(s.aborted, txn)
	}
	if row.Kind != KindBatch {
		return
	}
	s.sparse.add(s.base, row, interval)
	if l.w.firstTimestamp < 0 {
		l.w.firstTimestamp = row.MaxTimestamp
	}
}

// producersAt is the producer state at the base of a segment of the raft part.
func (l *Log) producersAt(v *view, base int64) (*producers, error) {
	now := time.Now()
	segments := append(v.sealed[:len(v.sealed):len(v.sealed)], &v.active)
	begin := len(segments) - 1
	for segments[begin].base > base {
		begin--
	}
	var p *producers
	last := begin
	for ; begin >= 0; begin-- {
		b, found, err := readFile(l.fs, snapshotPath(l.dir, segments[begin].base))
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		if p, err = decodeProducers(b, now); err == nil {
			break
		}
		if begin == 0 && v.boundary.NextOffset > 0 {
			return nil, fmt.Errorf("%s: the state of producers at the beginning of the log; without the file the log opens and they are forgotten: %w", snapshotPath(l.dir, segments[0].base), err)
		}
		l.logger.Warn("producer snapshot unreadable, replaying older rows", "dir", l.dir, "offset", segments[begin].base, "error", err)
	}
	if p == nil {
		begin = 0
		var err error
		if p, err = l.producersOfClean(v, now); err != nil {
			return nil, err
		}
	}
	for ; begin < last; begin++ {
		s := segments[begin]
		if err := l.eachRow(s, s.firstIndex, func(row Row) error { p.apply(row, now); return nil }); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// producersOfClean replays the batch headers of the clean prefix. What retention
// deleted before is not known any more.
func (l *Log) producersOfClean(v *view, now time.Time) (*producers, error) {
	p := newProducers()
	for _, s := range v.clean {
		if err := l.walk(v, s, s.base, func(b record.Batch) (bool, error) {
			row, err := batchRow(b)
			p.apply(row, now)
			return true, err
		}); err != nil {
			return nil, err
		}
	}
	if v.boundary.NextOffset > 0 {
		l.logger.Warn("no producer snapshot: producers that wrote only below the boundary are forgotten", "dir", l.dir, "offset", v.boundary.NextOffset)
	}
	return p, nil
}
