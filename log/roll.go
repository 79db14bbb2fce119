package log

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// dirty is what a flush has to bring to the disk besides the active segment.
type dirty struct {
	segments  []*segment // sealed, oldest first
	directory bool       // files were made
	rows      bool       // the active segment has rows that are no batches and not synced
}

// roll seals the active segment and begins the next at the log end. It writes
// what a sealed segment has beside its batches, without syncing; a background
// flush follows. On error nothing has changed but files that Open ignores.
func (l *Log) roll() error {
	v := l.view.Load()
	old := v.active
	if err := l.writeIndexes(&old, v.epochs); err != nil {
		return err
	}
	if err := l.writeSnapshot(old.next); err != nil {
		return err
	}
	sealed := old
	sealed.active, sealed.index, sealed.times, sealed.aborted = false, nil, nil, nil
	if err := l.w.log.Truncate(old.size); err != nil { // gives reserved space back
		return err
	}
	l.w.reserved = old.size
	if err := l.handles.discard(filesOf(l.dir, old.next).payload); err != nil {
		return err
	}
	fresh, files, err := l.newSegment(old.next, old.lastIndex()+1)
	if err != nil {
		return err
	}
	previous := l.w
	l.w = files
	l.w.rowBuf, l.w.batchBuf, l.w.prepared = previous.rowBuf, previous.batchBuf, previous.prepared
	l.releaseWriting(&previous)
	next := *v
	next.sealed = append(v.sealed[:len(v.sealed):len(v.sealed)], &sealed)
	next.active = fresh
	l.mu.Lock()
	l.dirty.segments = append(l.dirty.segments, &sealed)
	l.dirty.directory = true
	l.view.Store(&next)
	l.mu.Unlock()
	l.tasks.Go(l.flushSealedSegments)
	return nil
}

// newSegment makes the files of an empty active segment, which has no payloads yet.
func (l *Log) newSegment(base int64, firstIndex uint64) (s segment, w writing, err error) {
	s = segment{files: filesOf(l.dir, base), base: base, next: base, firstIndex: firstIndex, sparse: newSparse(), active: true, hints: new(hints), ended: new(abortedList)}
	w = writing{began: time.Now(), jitter: rand.Float64(), firstTimestamp: -1}
	if w.rows, err = l.handles.create(s.files.rows); err != nil {
		return s, w, err
	}
	if w.log, err = l.handles.create(s.files.log); err != nil {
		l.releaseWriting(&w)
	}
	return s, w, err
}

// releaseWriting lets go of the active segment's files.
func (l *Log) releaseWriting(w *writing) {
	for _, file := range []*handle{w.log, w.rows} {
		if file != nil {
			l.handles.release(file)
		}
	}
	w.log, w.rows = nil, nil
}

// writeIndexes writes the index files of a segment, as they are when sealed, and
// its seal. What it has not in its seal already, such as its heads, is left.
func (l *Log) writeIndexes(s *segment, upTo epochs) error {
	x := s.sparse
	x.times = x.times[:len(x.times):len(x.times)]
	x.noteTime(s.base)
	index, times, txns := encodeIndex(x.index), encodeTimes(x.times), encodeAborted(s.aborted)
	if err := writeFile(l.fs, s.files.index, index, false); err != nil {
		return fmt.Errorf("write offset index: %w", err)
	}
	if err := writeFile(l.fs, s.files.time, times, false); err != nil {
		return fmt.Errorf("write time index: %w", err)
	}
	if len(txns) == 0 {
		if err := l.handles.discard(s.files.txn); err != nil {
			return err
		}
	} else if err := writeFile(l.fs, s.files.txn, txns, false); err != nil {
		return fmt.Errorf("write transaction index: %w", err)
	}
	said := seal{size: s.size, rows: int64(s.rows), next: s.next, maxTimestamp: s.maxTimestamp, maxOffset: s.maxOffset,
		index: sumOf(index), times: sumOf(times), txns: sumOf(txns), epochs: upTo}
	if s.clean {
		said.heads.size = s.headCount * headSize
	}
	s.sums = &sums{seal: said}
	if err := writeFile(l.fs, s.files.seal, said.encode(), false); err != nil {
		return fmt.Errorf("write seal: %w", err)
	}
	return nil
}

// writeSnapshot writes the producer state, which must be that of offset.
func (l *Log) writeSnapshot(offset int64) error {
	l.mu.Lock()
	b := l.state.producers.encode()
	l.mu.Unlock()
	if err := writeFile(l.fs, snapshotPath(l.dir, offset), b, false); err != nil {
		return fmt.Errorf("write producer snapshot: %w", err)
	}
	return nil
}
