package log

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// A Snapshot is what a replica needs to begin at a boundary: exactly the state
// of that offset, never that of now (hard-33). The files of a clean prefix
// travel apart.
type Snapshot struct {
	Boundary  Boundary
	LogStart  int64  // at most Boundary.NextOffset: later starts follow from rows
	Producers []byte // the producer state at Boundary.NextOffset, as in a .snapshot file
	Epochs    []EpochStart

	clean []cleanFile // the segments of the clean prefix
}

// Snapshot is the snapshot at the present boundary.
//
// Errors: ErrCorrupt, those of the file system.
func (l *Log) Snapshot() (Snapshot, error) {
	for try := 1; ; try++ {
		v := l.view.Load()
		s, err := l.snapshotOf(v)
		if l.view.Load().boundary == v.boundary || try == readTries {
			return s, err
		}
	}
}

func (l *Log) snapshotOf(v *view) (Snapshot, error) {
	b := *v.boundary
	s := Snapshot{Boundary: b, LogStart: min(v.start, b.NextOffset), clean: cleanFiles(v.clean)}
	p, err := l.producersAt(v, b.NextOffset)
	if err != nil {
		return s, err
	}
	s.Producers = p.encode()
	l.mu.Lock()
	s.Epochs = l.state.epochs.truncate(int32(b.Term))
	l.mu.Unlock()
	for i := range s.Epochs { // a log start behind the boundary moved them
		s.Epochs[i].StartOffset = min(s.Epochs[i].StartOffset, b.NextOffset)
	}
	return s, nil
}

// Encode writes the snapshot as the meta file of the log that it makes.
func (s Snapshot) Encode() []byte { return s.meta().encode() }

func (s Snapshot) meta() meta {
	return meta{boundary: s.Boundary, start: s.LogStart, clean: s.clean, install: &install{producers: s.Producers, epochs: s.Epochs}}
}

// DecodeSnapshot reads what Encode wrote. Nothing of b is kept.
//
// Errors: ErrNewerFormat, ErrCorrupt.
func DecodeSnapshot(b []byte) (Snapshot, error) {
	m, err := decodeMeta(b)
	if err != nil {
		return Snapshot{}, fmt.Errorf("snapshot: %w", err)
	}
	if m.install == nil || m.start > m.boundary.NextOffset || m.boundary.Index == 0 || !inOrder(m.clean, m.boundary.NextOffset) {
		return Snapshot{}, fmt.Errorf("snapshot at index %d, offset %d, log start %d, %d clean segments: %w", m.boundary.Index, m.boundary.NextOffset, m.start, len(m.clean), ErrCorrupt)
	}
	if _, err := decodeProducers(m.install.producers, time.Now()); err != nil {
		return Snapshot{}, fmt.Errorf("snapshot: %w", err)
	}
	return Snapshot{Boundary: m.boundary, LogStart: m.start, Producers: m.install.producers, Epochs: m.install.epochs, clean: m.clean}, nil
}

// inOrder says whether clean segments stand one behind the other, below an end.
func inOrder(list []cleanFile, end int64) bool {
	at := int64(0)
	for _, c := range list {
		if c.base < at || c.next < c.base || c.next > end || c.size < 0 {
			return false
		}
		at = c.next
	}
	return true
}

// ResetTo throws the whole log away and begins at a snapshot's boundary. One
// rename of the meta file decides: a crash leaves the older log or the new one.
//
// Errors: ErrCorrupt for a snapshot that cannot be read, ErrFailed, ErrClosed,
// those of the file system (then the log takes no more changes).
func (l *Log) ResetTo(s Snapshot) error {
	p, err := decodeProducers(s.Producers, time.Now())
	if err != nil {
		return err
	}
	l.writer.take()
	defer l.writer.give()
	if err := l.usable(); err != nil {
		return err
	}
	m := s.meta()
	if len(s.clean) > 0 {
		if l.staged.Index != s.Boundary.Index || l.staged.Term != s.Boundary.Term {
			return fmt.Errorf("install a compacted log up to index %d, but the files up to %d are staged: %w", s.Boundary.Index, l.staged.Index, ErrMismatch)
		}
		m.generation = l.meta.generation + 2 // a compaction under way writes the next one
	}
	l.tasks.Wait()
	return l.fail(l.reset(m, p))
}

func (l *Log) reset(m meta, p *producers) error {
	l.syncer.take()
	defer l.syncer.give()
	if err := replaceFile(l.fs, filepath.Join(l.dir, metaFile), m.encode()); err != nil {
		return err
	}
	old := l.view.Load()
	l.empty(m, p)
	l.releaseWriting(&l.w)
	for _, s := range old.all() {
		l.discardSegment(s)
	}
	if err := l.handles.discard(filepath.Join(l.dir, flushFile)); err != nil {
		return err
	}
	m, err := l.finishInstall(m)
	if err != nil {
		return err
	}
	if _, err := l.sweep(m); err != nil {
		return err
	}
	l.mu.Lock()
	l.dirty = dirty{}
	l.mu.Unlock()
	l.meta, l.f, l.staged = m, flushed{}, Boundary{}
	r := recovery{log: l, next: m.boundary.NextOffset, index: m.boundary.Index, term: m.boundary.Term,
		view: view{boundary: &m.boundary, start: m.start}}
	if r.view.clean, err = l.cleanSegments(m); err != nil {
		return err
	}
	return r.run(nil)
}

// empty shows readers the log that begins at a boundary, before the files of the
// older one go: they must not look for them.
func (l *Log) empty(m meta, p *producers) {
	at := m.boundary.NextOffset
	next := &view{boundary: &m.boundary, start: m.start, lastTerm: m.boundary.Term, epochs: m.install.epochs}
	next.active = segment{files: filesOf(l.dir, at), base: at, next: at, firstIndex: m.boundary.Index + 1, sparse: newSparse(), active: true, hints: new(hints), ended: new(abortedList)}
	l.mu.Lock()
	l.state = state{producers: p, epochs: m.install.epochs}
	l.view.Store(next)
	l.mu.Unlock()
}

// finishInstall completes an installation that the meta file has decided: the
// older log's files go, the snapshot's take their place.
func (l *Log) finishInstall(m meta) (meta, error) {
	entries, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return m, err
	}
	for _, entry := range entries {
		name := entry.Name()
		kept := len(m.clean) > 0 && (name == installDir || name == cleanName(m.generation))
		if name == formatFile || name == metaFile || kept {
			continue
		}
		if err := l.fs.RemoveAll(filepath.Join(l.dir, name)); err != nil {
			return m, fmt.Errorf("remove replaced log: %w", err)
		}
	}
	if err := l.adoptStaged(m); err != nil {
		return m, fmt.Errorf("take over the staged files: %w", err)
	}
	if err := writeFile(l.fs, snapshotPath(l.dir, m.boundary.NextOffset), m.install.producers, true); err != nil {
		return m, err
	}
	if err := replaceFile(l.fs, filepath.Join(l.dir, epochFile), m.install.epochs.encode()); err != nil {
		return m, err
	}
	m.epochs, m.install = m.install.epochs, nil
	return m, replaceFile(l.fs, filepath.Join(l.dir, metaFile), m.encode())
}

// adoptStaged makes the staged files the clean prefix, unless that was done
// before a crash.
func (l *Log) adoptStaged(m meta) error {
	if len(m.clean) == 0 {
		return nil
	}
	from, to := filepath.Join(l.dir, installDir), filepath.Join(l.dir, cleanName(m.generation))
	if _, err := l.fs.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := l.fs.RemoveAll(to); err != nil {
		return err
	}
	return l.fs.Rename(from, to)
}
