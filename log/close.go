package log

import (
	"errors"
	"path/filepath"
	"strings"
)

// Close flushes what was appended, waits for background work and closes the
// files. Reads under way end well. A second Close does nothing.
//
// Errors: those of the file system; the log is closed all the same.
func (l *Log) Close() error {
	l.closing.Store(true)
	l.cleaner.take()
	defer l.cleaner.give()
	l.writer.take()
	defer l.writer.give()
	err := l.usable()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	if err == nil {
		err = l.lastFlush()
	} else {
		err = nil // it was reported when it happened
	}
	closed := error(ErrClosed)
	l.failed.Store(&closed)
	l.tasks.Wait()
	l.releaseWriting(&l.w)
	return errors.Join(err, l.handles.close())
}

// lastFlush leaves a directory that needs no recovery and that Kafka's tools read.
func (l *Log) lastFlush() error {
	active := l.view.Load().active
	l.mu.Lock()
	waiting := l.dirty.rows || len(l.dirty.segments) > 0
	l.mu.Unlock()
	l.syncer.take()
	flushed := l.f.base == active.base && l.f.position == active.size && l.f.noted == active.size && l.f.rows == int64(active.rows)
	l.syncer.give()
	if flushed && !waiting {
		return nil
	}
	if err := l.flush(true); err != nil {
		return err
	}
	if err := l.writeIndexes(&active, l.view.Load().epochs); err != nil {
		return err
	}
	l.syncer.take()
	defer l.syncer.give()
	if err := l.syncOthers(l.view.Load(), true); err != nil {
		return l.fail(err)
	}
	l.f.rows = int64(active.rows)
	return l.writeFlushed()
}

// removedSuffix is behind the name of a directory that is being deleted. Source:
// Kafka's LogManager.asyncDelete, which renames to -delete.
const removedSuffix = ".removed"

// RemovedFolder says whether a directory of this name is what was left of a log's
// when its removal was cut short, and how that one was called.
func RemovedFolder(name string) (of string, removed bool) {
	return strings.CutSuffix(name, removedSuffix)
}

// Remove closes the log and deletes its directory. That has another name first, so
// that half a log, after a crash, is none.
func (l *Log) Remove() error {
	l.closing.Store(true)
	l.cleaner.take()
	defer l.cleaner.give()
	l.writer.take()
	closed := error(ErrClosed)
	if l.failed.Load() == nil {
		l.failed.Store(&closed)
	}
	l.tasks.Wait()
	l.releaseWriting(&l.w)
	l.writer.give()
	err := l.handles.close()
	gone, parent := l.dir+removedSuffix, filepath.Dir(l.dir)
	for _, step := range []func() error{
		func() error { return l.fs.RemoveAll(gone) },
		func() error { return l.fs.Rename(l.dir, gone) },
		func() error { return l.fs.SyncDir(parent) },
		func() error { return l.fs.RemoveAll(gone) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return errors.Join(err, l.fs.SyncDir(parent))
}
