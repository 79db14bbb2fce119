package log

import (
	"fmt"
	"path/filepath"
	"time"
)

// A Snapshot is what a replica needs to begin at a boundary: exactly the state
// of that offset, never that of now (hard-33). The files of a clean prefix
// travel apart.
type Snapshot struct {
	Boundary  Boundary
	LogStart  int64
	Producers []byte // the producer state at Boundary.NextOffset, as in a .snapshot file
	Epochs    []EpochStart
}

// Snapshot is the snapshot at the present boundary.
//
// Errors: ErrCorrupt, those of the file system.
func (l *Log) Snapshot() (Snapshot, error) {
	v := l.view.Load()
	s := Snapshot{Boundary: *v.boundary, LogStart: v.start}
	b, found, err := readFile(l.fs, snapshotPath(l.dir, v.boundary.NextOffset))
	switch {
	case err != nil:
		return s, err
	case !found:
		s.Producers = newProducers().encode()
	default:
		if _, err := decodeProducers(b, time.Now()); err != nil {
			return s, fmt.Errorf("%s: %w", snapshotPath(l.dir, v.boundary.NextOffset), err)
		}
		s.Producers = b
	}
	l.mu.Lock()
	s.Epochs = l.state.epochs.truncate(int32(v.boundary.Term))
	l.mu.Unlock()
	return s, nil
}

// ResetTo throws the whole log away and begins at a snapshot's boundary. One
// rename of the meta file decides: a crash leaves the older log or the new one.
//
// Errors: ErrCorrupt for a snapshot that cannot be read, ErrFailed, ErrClosed,
// those of the file system (then the log takes no more changes).
func (l *Log) ResetTo(s Snapshot) error {
	if _, err := decodeProducers(s.Producers, time.Now()); err != nil {
		return err
	}
	l.writer.take()
	defer l.writer.give()
	if err := l.usable(); err != nil {
		return err
	}
	l.tasks.Wait()
	m := meta{boundary: s.Boundary, start: s.LogStart, install: &install{producers: s.Producers, epochs: s.Epochs}}
	return l.fail(l.reset(m))
}

func (l *Log) reset(m meta) error {
	l.syncer.take()
	defer l.syncer.give()
	if err := replaceFile(l.fs, filepath.Join(l.dir, metaFile), m.encode()); err != nil {
		return err
	}
	old := l.view.Load()
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
	l.meta, l.f = m, flushed{}
	r := recovery{log: l, next: m.boundary.NextOffset, index: m.boundary.Index, term: m.boundary.Term,
		view: view{boundary: &m.boundary, start: m.start}}
	return r.run(nil)
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
		if name == formatFile || name == metaFile {
			continue
		}
		if err := l.fs.RemoveAll(filepath.Join(l.dir, name)); err != nil {
			return m, fmt.Errorf("remove replaced log: %w", err)
		}
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
