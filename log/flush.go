package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
)

// flushed is how far the log is known to be on the disk. Recovery need not
// check what lies below. The file that repeats it is written without a sync: an
// older one only makes recovery read more.
type flushed struct {
	base     int64 // of a segment: all before it is on the disk
	position int64 // and so are its batches up to here
	rows     int64 // and so many of its rows, with their payloads
	noted    int64 // position in the file
}

const (
	flushMagic = "olf2"
	flushSize  = 32
	// noteEvery is how many bytes go by before the file is written again.
	noteEvery = 1 << 20
)

func (f flushed) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte(flushMagic), uint64(f.base))
	b = binary.BigEndian.AppendUint64(b, uint64(f.position))
	b = binary.BigEndian.AppendUint64(b, uint64(f.rows))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeFlushed reads the file; one that is missing or torn says nothing is flushed.
func decodeFlushed(b []byte) flushed {
	if len(b) != flushSize || string(b[:4]) != flushMagic || checksum(b[:flushSize-4]) != binary.BigEndian.Uint32(b[flushSize-4:]) {
		return flushed{}
	}
	d := decoder{b: b[4:]}
	f := flushed{base: d.int64(), position: d.int64(), rows: d.int64()}
	f.noted = f.position
	return f
}

// Sync makes everything appended so far last: one fdatasync of the active
// segment, unless segments were sealed or a term began meanwhile. Rows of
// batches are not synced; recovery makes them from the batches.
//
// Errors: those of the file system; after one the log takes no more writes,
// as a second sync could answer for bytes that are gone.
func (l *Log) Sync() error {
	if err := l.usable(); err != nil {
		return err
	}
	return l.flush(true)
}

// flush syncs sealed segments and, if wanted, the active one. An error stops
// the log before another flush has its turn: that one must not note as flushed
// what this one took over and did not bring to the disk.
func (l *Log) flush(active bool) error {
	l.syncer.take()
	defer l.syncer.give()
	if err := l.usable(); err != nil {
		return err
	}
	return l.fail(l.flushDirty(active))
}

// flushDirty takes over what waits for a flush. The caller holds syncer.
func (l *Log) flushDirty(active bool) error {
	l.mu.Lock()
	work := l.dirty
	v := l.view.Load()
	l.dirty = dirty{rows: work.rows && !active}
	l.mu.Unlock()
	for _, s := range work.segments {
		if err := l.flushSealed(s); err != nil {
			return err
		}
	}
	if len(work.segments) > 0 {
		if err := l.writeEpochs(); err != nil {
			return err
		}
	}
	if work.directory {
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
	}
	position := int64(0)
	if active {
		if err := l.syncOthers(v, work.rows); err != nil {
			return err
		}
		if l.f.base == v.active.base && l.f.position == v.active.size {
			return nil
		}
		if err := l.syncFile(v.active.files.log); err != nil {
			return err
		}
		position = v.active.size
	} else if l.f.base == v.active.base {
		return nil
	}
	return l.noteFlushed(v.active.base, position, len(work.segments) > 0)
}

// syncOthers syncs the active segment's rows and payloads, if rows wait for it.
func (l *Log) syncOthers(v *view, wanted bool) error {
	if !wanted {
		return nil
	}
	for _, name := range []string{v.active.files.payload, v.active.files.rows} {
		if err := l.syncFile(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// flushSealed syncs the files of one sealed segment and the snapshot at its end.
func (l *Log) flushSealed(s *segment) error {
	for _, name := range append(s.files.all(), snapshotPath(l.dir, s.next)) {
		if err := l.syncFile(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (l *Log) syncFile(name string) error {
	file, err := l.handles.acquire(name)
	if err != nil {
		return err
	}
	defer l.handles.release(file)
	return file.Sync()
}

// noteFlushed remembers how far the disk is, and writes it now and then.
func (l *Log) noteFlushed(base, position int64, now bool) error {
	moved := base != l.f.base
	if moved {
		l.f.rows = 0
	}
	l.f.base, l.f.position = base, position
	if !moved && !now && position-l.f.noted < noteEvery {
		return nil
	}
	return l.writeFlushed()
}

func (l *Log) writeFlushed() error {
	if _, err := l.flushNote(); err != nil {
		return fmt.Errorf("note what is flushed: %w", err)
	}
	l.f.noted = l.f.position
	return nil
}

// flushNote writes the file and returns its path.
func (l *Log) flushNote() (name string, err error) {
	name = filepath.Join(l.dir, flushFile)
	file, err := l.handles.acquire(name)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = l.handles.create(name)
	}
	if err != nil {
		return name, err
	}
	defer l.handles.release(file)
	_, err = file.WriteAt(l.f.encode(), 0)
	return name, err
}

// unflush says durably that nothing from (base, position) and from a row on is
// flushed, before it is cut off and written anew. The caller holds syncer.
func (l *Log) unflush(base, position, rows int64) error {
	if l.f.base < base || l.f.base == base && l.f.position <= position && l.f.rows <= rows {
		return nil
	}
	if l.f.base > base {
		l.f = flushed{base: base, position: position}
	}
	l.f.position, l.f.rows = min(l.f.position, position), min(l.f.rows, rows)
	if err := l.writeFlushed(); err != nil {
		return err
	}
	return l.syncFile(filepath.Join(l.dir, flushFile))
}

// writeEpochs replaces the leader-epoch checkpoint, in Kafka's own text form.
func (l *Log) writeEpochs() error {
	l.mu.Lock()
	list := l.state.epochs
	l.mu.Unlock()
	return replaceFile(l.fs, filepath.Join(l.dir, epochFile), list.encode())
}

// flushSealedSegments is the background task that follows a roll; a failure
// stops the log.
func (l *Log) flushSealedSegments() {
	if err := l.flush(false); err != nil {
		_ = l.fail(err) // logged there; the next append reports it
	}
}
