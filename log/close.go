package log

import (
	"errors"
	"path/filepath"
)

// Close flushes what was appended, waits for background work and closes the
// files. Reads under way end well. A second Close does nothing.
//
// Errors: those of the file system; the log is closed all the same.
func (l *Log) Close() error {
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
	l.syncer.take()
	defer l.syncer.give()
	l.releaseWriting(&l.w)
	if l.f.file != nil {
		l.handles.release(l.f.file)
		l.f.file = nil
	}
	return errors.Join(err, l.handles.close())
}

// lastFlush leaves a directory that needs no recovery and that Kafka's tools read.
func (l *Log) lastFlush() error {
	if err := l.flush(true); err != nil {
		return err
	}
	active := l.view.Load().active
	if err := l.writeIndexes(&active); err != nil {
		return err
	}
	l.syncer.take()
	defer l.syncer.give()
	if err := l.writeEpochs(); err != nil {
		return err
	}
	return l.writeFlushed()
}

// Remove closes the log and deletes its directory.
func (l *Log) Remove() error {
	l.writer.take()
	closed := error(ErrClosed)
	if l.failed.Load() == nil {
		l.failed.Store(&closed)
	}
	l.tasks.Wait()
	l.releaseWriting(&l.w)
	l.writer.give()
	l.syncer.take()
	if l.f.file != nil {
		l.handles.release(l.f.file)
		l.f.file = nil
	}
	l.syncer.give()
	err := l.handles.close()
	if err := l.fs.RemoveAll(l.dir); err != nil {
		return err
	}
	return errors.Join(err, l.fs.SyncDir(filepath.Dir(l.dir)))
}
