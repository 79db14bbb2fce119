package log

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// LogStartPayload is the payload of a KindLogStart entry.
func LogStartPayload(offset int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(offset)) }

// LogStartOffset reads the payload of a KindLogStart entry.
//
// Errors: ErrCorrupt.
func LogStartOffset(payload []byte) (int64, error) {
	if len(payload) != 8 {
		return 0, fmt.Errorf("log start payload of %d bytes, want 8: %w", len(payload), ErrCorrupt)
	}
	return int64(binary.BigEndian.Uint64(payload)), nil
}

// ApplyStart applies a committed log-start command: the log start rises to
// offset, never falls. Segments wholly below it are deleted and the boundary
// moves behind them, at most to applied, the newest index that is known to be
// applied (the command's own). It is lasting when it returns.
//
// Errors: ErrFailed, ErrClosed, those of the file system.
func (l *Log) ApplyStart(offset, highWatermark int64, applied uint64) error {
	l.writer.take()
	defer l.writer.give()
	if err := l.usable(); err != nil {
		return err
	}
	start := min(offset, highWatermark)
	v := l.view.Load()
	if start <= v.start {
		return nil
	}
	if start >= v.end() && v.active.size > 0 && v.active.lastIndex() <= applied {
		if err := l.roll(); err != nil {
			return l.fail(err)
		}
		v = l.view.Load()
	}
	next := *v
	next.start = start
	next.clean = slices.DeleteFunc(slices.Clone(v.clean), func(s *segment) bool { return s.next <= start })
	for len(next.sealed) > 0 && next.sealed[0].next <= start && next.sealed[0].lastIndex() <= applied {
		next.sealed = next.sealed[1:]
	}
	gone := v.sealed[:len(v.sealed)-len(next.sealed)]
	if len(gone) > 0 {
		boundary, err := l.boundaryBehind(*v.boundary, gone)
		if err != nil {
			return err
		}
		next.boundary = &boundary
	}
	m := l.meta
	m.start, m.boundary, m.clean = start, *next.boundary, cleanFiles(next.clean)
	if err := l.commitMeta(m, &next, len(gone) > 0); err != nil {
		return l.fail(err)
	}
	for _, s := range v.clean[:len(v.clean)-len(next.clean)] {
		l.discardSegment(s)
	}
	for _, s := range gone {
		l.discardSegment(s)
	}
	return nil
}

// boundaryBehind is the boundary once the given leading segments are gone. The
// configuration is the newest one in or before them.
func (l *Log) boundaryBehind(b Boundary, gone []*segment) (Boundary, error) {
	for _, s := range gone {
		var newest Row
		var last Row
		if err := l.eachRow(s, s.firstIndex, func(row Row) error {
			if row.Kind == KindConfiguration {
				newest = row
			}
			last = row
			return nil
		}); err != nil {
			return b, err
		}
		if newest.Kind == KindConfiguration {
			payload, err := l.Payload(newest, nil)
			if err != nil {
				return b, err
			}
			b.Configuration, b.ConfigurationIndex = payload, newest.Index
		}
		b.Index, b.Term, b.NextOffset = last.Index, last.Term, s.next
	}
	return b, nil
}

// commitMeta makes a new picture of the log's beginning the true one: what the
// meta file is about to rely on is synced, then it is replaced, then published.
func (l *Log) commitMeta(m meta, next *view, boundaryMoved bool) error {
	if boundaryMoved {
		if err := l.flush(false); err != nil {
			return err
		}
		if err := l.syncFile(snapshotPath(l.dir, m.boundary.NextOffset)); err != nil {
			return err
		}
		if err := l.writeEpochs(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	m.epochs = l.state.epochs.truncate(int32(m.boundary.Term)).trim(next.start)
	l.mu.Unlock()
	if err := replaceFile(l.fs, filepath.Join(l.dir, metaFile), m.encode()); err != nil {
		return err
	}
	l.meta = m
	l.mu.Lock()
	l.state.epochs = l.state.epochs.trim(next.start)
	next.epochs = l.state.epochs
	l.view.Store(next)
	l.mu.Unlock()
	return nil
}

// discardSegment removes the files of a segment that the meta file does not
// count any more. A failure leaves a file that Open removes.
func (l *Log) discardSegment(s *segment) {
	if s.clean {
		for _, name := range s.files.all() {
			l.report(l.handles.discard(name))
		}
		return
	}
	l.report(l.removeSegment(s))
}

func cleanFiles(list []*segment) (files []cleanFile) {
	for _, s := range list {
		files = append(files, cleanFile{s.base, s.next, s.size, s.maxTimestamp, s.maxOffset})
	}
	return files
}

// RetentionStart says where retention by time and size wants the log start: at
// the end of a segment, at most at the high watermark. ok is false when nothing
// is to be deleted. The leader proposes it as a KindLogStart entry.
func (l *Log) RetentionStart(now time.Time, highWatermark int64) (offset int64, ok bool) {
	cfg, v := l.Config(), l.view.Load()
	if !cfg.CleanupDelete {
		return 0, false
	}
	segments, surplus := v.all(), int64(-1)
	if cfg.RetentionBytes != Unlimited {
		surplus = l.Size() - cfg.RetentionBytes
	}
	offset = v.start
	for _, s := range segments {
		if s.size == 0 && s.active || s.next > highWatermark {
			break
		}
		expired := cfg.Retention != Unlimited && l.age(s, now) > cfg.Retention
		if !expired && (surplus < s.size || surplus <= 0) {
			break
		}
		surplus -= s.size
		offset = max(offset, s.next)
	}
	return offset, offset > v.start
}

// age is how old the newest record of a segment is; a segment without
// timestamps is as old as its file. Source: LogSegment.largestTimestamp.
func (l *Log) age(s *segment, now time.Time) time.Duration {
	if s.maxTimestamp >= 0 {
		return now.Sub(time.UnixMilli(s.maxTimestamp))
	}
	info, err := l.fs.Stat(s.files.log)
	if err != nil {
		return 0
	}
	return now.Sub(info.ModTime())
}
