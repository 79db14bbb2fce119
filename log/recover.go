package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
)

// formatText is the content of the format file. A program that finds another
// text refuses the directory.
const formatText = "oncelog partition log 1\n"

// Open opens or creates the log in dir. It reads the rows of the segments that
// were not flushed for certain, as a rule only the active one, and ends the log
// at the first row or batch that is not what was written; see docs/format/log.md.
//
// Errors: ErrNewerFormat, ErrCorrupt when bytes are wrong that had been synced,
// those of the file system.
func Open(dir string, cfg Config, opts Options) (*Log, error) {
	if opts.FS == nil {
		opts.FS = vfs.OS
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{dir: dir, fs: opts.FS, logger: opts.Logger, cfg: cfg.withDefaults(), writer: newTurn(), syncer: newTurn(), cleaner: newTurn()}
	l.handles = newHandles(l.fs, l.report)
	l.writer.take()
	defer l.writer.give()
	if err := l.recover(); err != nil {
		l.releaseWriting(&l.w)
		return nil, errors.Join(fmt.Errorf("open log %s: %w", dir, err), l.handles.close())
	}
	return l, nil
}

// recover finds out what is there and publishes it.
func (l *Log) recover() error {
	if err := l.fs.MkdirAll(l.dir, dirPerm); err != nil {
		return err
	}
	if err := l.fs.SyncDir(filepath.Dir(l.dir)); err != nil {
		return err
	}
	if err := l.checkFormat(); err != nil {
		return err
	}
	m, err := l.readMeta()
	if err != nil {
		return err
	}
	bases, err := l.sweep(m)
	if err != nil {
		return err
	}
	b, _, err := readFile(l.fs, filepath.Join(l.dir, flushFile))
	if err != nil {
		return err
	}
	l.f = decodeFlushed(b)
	l.meta = m
	boundary := m.boundary
	r := recovery{
		log: l, next: boundary.NextOffset, index: boundary.Index, term: boundary.Term,
		view: view{boundary: &boundary, start: m.start, clean: l.cleanSegments(m)},
	}
	return r.run(bases)
}

// checkFormat refuses a directory of another format, and marks a new one.
func (l *Log) checkFormat() error {
	name := filepath.Join(l.dir, formatFile)
	b, found, err := readFile(l.fs, name)
	switch {
	case err != nil:
		return err
	case !found || len(b) == 0:
		return replaceFile(l.fs, name, []byte(formatText))
	case string(b) != formatText:
		return fmt.Errorf("format %q, this program knows %q: %w", firstLine(b), firstLine([]byte(formatText)), ErrNewerFormat)
	}
	return nil
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(string(b[:min(len(b), 80)]), "\n")
	return line
}

// readMeta reads the meta file, and completes an installation that a crash interrupted.
func (l *Log) readMeta() (meta, error) {
	b, found, err := readFile(l.fs, filepath.Join(l.dir, metaFile))
	if err != nil || !found {
		return meta{}, err
	}
	m, err := decodeMeta(b)
	if err != nil || m.install == nil {
		return m, err
	}
	return l.finishInstall(m)
}

// sweep removes files that the meta file does not count as part of the log,
// and lists the base offsets of the raft part's segments.
func (l *Log) sweep(m meta) (bases []int64, err error) {
	entries, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		if base, ok := baseOf(name, logSuffix); ok && base >= m.boundary.NextOffset {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	for _, entry := range entries {
		if !l.surplus(m, bases, entry.Name()) {
			continue
		}
		if err := l.fs.RemoveAll(filepath.Join(l.dir, entry.Name())); err != nil {
			return nil, err
		}
	}
	return bases, nil
}

// surplus says whether a file is left over from something unfinished or removed.
func (l *Log) surplus(m meta, bases []int64, name string) bool {
	if strings.HasSuffix(name, tempSuffix) {
		return true
	}
	if strings.HasPrefix(name, cleanDir) {
		return m.generation == 0 || name != cleanName(m.generation)
	}
	if offset, ok := baseOf(name, snapshotSuffix); ok {
		return offset < m.boundary.NextOffset
	}
	for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix, txnSuffix, rowSuffix, payloadSuffix} {
		if base, ok := baseOf(name, suffix); ok {
			return !slices.Contains(bases, base)
		}
	}
	return false
}

func cleanName(generation uint32) string { return fmt.Sprintf("%s%08d", cleanDir, generation) }

// cleanSegments are the segments of the clean prefix, as the meta file lists them.
func (l *Log) cleanSegments(m meta) (list []*segment) {
	dir := filepath.Join(l.dir, cleanName(m.generation))
	for _, c := range m.clean {
		s := &segment{files: filesOf(dir, c.base), base: c.base, next: c.next, size: c.size, clean: true, sparse: newSparse(), hints: new(hints)}
		s.maxTimestamp, s.maxOffset = c.maxTimestamp, c.maxOffset
		list = append(list, s)
	}
	return list
}

// A recovery walks the segments of the raft part in order; index, term and next
// are those of the log up to where it is.
type recovery struct {
	log   *Log
	view  view
	index uint64
	term  uint64
	next  int64
	built state
	begun bool // built is in use: the segment of now is not trusted
	cut   bool // the log ended here: what follows is removed
}

func (r *recovery) run(bases []int64) error {
	l := r.log
	for i, base := range bases {
		last := i == len(bases)-1
		if base < l.f.base && !last {
			if err := r.trust(base); err != nil {
				return err
			}
			continue
		}
		if err := r.begin(base); err != nil {
			return err
		}
		if r.cut || base != r.next {
			if err := l.dropFrom(bases[i:]); err != nil {
				return err
			}
			break
		}
		if err := r.segment(base, last); err != nil {
			return err
		}
	}
	return r.finish()
}

// begin loads the state as of the first segment that is not trusted.
func (r *recovery) begin(base int64) error {
	if r.begun {
		return nil
	}
	r.begun = true
	v := r.view
	v.active = segment{base: base, active: true}
	p, err := r.log.producersAt(&v, base)
	if err != nil {
		return err
	}
	epochs, err := r.log.epochsUpTo(&v, r.term)
	r.built = state{producers: p, epochs: epochs}
	return err
}

// epochsUpTo reads the epoch checkpoint as far as the trusted segments reach; a
// missing one is made from their rows.
func (l *Log) epochsUpTo(v *view, term uint64) (epochs, error) {
	b, found, err := readFile(l.fs, filepath.Join(l.dir, epochFile))
	if err != nil {
		return nil, err
	}
	list, err := decodeEpochs(b)
	if err == nil {
		return list.truncate(int32(term)), nil
	}
	if found {
		l.logger.Warn("leader epoch checkpoint unreadable, made from rows", "dir", l.dir, "error", err)
	}
	list = nil
	for _, s := range v.sealed {
		if err := l.eachRow(s, s.firstIndex, func(row Row) error {
			list = list.assign(int32(row.Term), row.BaseOffset)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// trust takes a sealed segment that was flushed as its first and last row say.
func (r *recovery) trust(base int64) error {
	l := r.log
	s := &segment{files: filesOf(l.dir, base), base: base, firstIndex: r.index + 1, sparse: newSparse(), hints: new(hints)}
	size := func(name string) (n int64) {
		info, err := l.fs.Stat(name)
		if err == nil {
			n = info.Size()
		}
		return n
	}
	s.size, s.rows = size(s.files.log), int(size(s.files.rows)/rowSize)
	if base != r.next || s.rows == 0 {
		return fmt.Errorf("segment %d with %d rows, want one that begins at offset %d: %w", base, s.rows, r.next, ErrCorrupt)
	}
	if _, err := l.readRow(s, s.firstIndex); err != nil {
		return fmt.Errorf("%s: %w", s.files.rows, err)
	}
	last, err := l.readRow(s, s.lastIndex())
	if err != nil {
		return fmt.Errorf("%s: %w", s.files.rows, err)
	}
	s.next = last.NextOffset()
	if b, err := l.readShared(s.files.time); err == nil && len(b) >= timeEntrySize {
		e := decodeTimeEntry(b[len(b)-timeEntrySize:])
		s.maxTimestamp, s.maxOffset = e.timestamp, s.base+int64(e.offset)
	}
	r.index, r.term, r.next = s.lastIndex(), last.Term, s.next
	r.view.sealed = append(r.view.sealed, s)
	return nil
}

// segment recovers one segment: its rows as far as they hold, then batches
// whose rows were lost, then nothing.
func (r *recovery) segment(base int64, last bool) error {
	l := r.log
	s := segment{files: filesOf(l.dir, base), base: base, next: base, firstIndex: r.index + 1, sparse: newSparse(), hints: new(hints), active: true}
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
	w = writing{began: time.Now(), firstTimestamp: -1}
	if w.log, err = l.handles.acquire(files.log); err != nil {
		return w, err
	}
	if w.rows, err = l.handles.acquire(files.rows); errors.Is(err, fs.ErrNotExist) {
		w.rows, err = l.handles.create(files.rows)
	}
	if err == nil {
		if w.payload, err = l.handles.acquire(files.payload); errors.Is(err, fs.ErrNotExist) {
			w.payload, err = nil, nil
		}
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
	b := make([]byte, size)
	if n, err := r.log.w.rows.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("read %s: %w", s.files.rows, err)
	}
	for ; len(b) >= rowSize; b = b[rowSize:] {
		row, err := decodeRow(b)
		if err != nil || !r.continues(s, row) {
			return r.survivors(s, b[rowSize:])
		}
		whole, err := r.holds(s, scan, row, checked)
		if err != nil || !whole {
			return nil, err
		}
		r.take(s, row)
	}
	return nil, nil
}

// survivors reads the rows behind an unreadable one. If one of them was synced,
// so was the unreadable one.
func (r *recovery) survivors(s *segment, b []byte) (map[uint64]Row, error) {
	rows := make(map[uint64]Row)
	for index := r.index + 2; len(b) >= rowSize; b, index = b[rowSize:], index+1 {
		row, err := decodeRow(b)
		if err != nil || row.Index != index {
			continue
		}
		if row.Kind != KindBatch {
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
	if row.Size == 0 {
		return true, nil
	}
	if row.Kind != KindBatch {
		if r.log.w.payload == nil {
			return false, nil
		}
		b := make([]byte, row.Size)
		n, err := r.log.w.payload.ReadAt(b, int64(row.PayloadPosition))
		if n < len(b) {
			return false, ignoreEOF(err)
		}
		return row.verify(b) == nil, nil
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
	} else {
		r.log.w.payloadSize += int64(row.Size)
	}
	s.next = row.NextOffset()
	r.index, r.term, r.next = row.Index, row.Term, s.next
}

// reindex makes the rows of whole batches behind the last row, which a power
// loss took while the batches stayed. That is proven only within one term: rows
// of other kinds are synced before a later batch is written, so no index lies
// between; and a new term begins with such a row. (raft.md T4)
//
// Errors: ErrCorrupt when a row that was left says otherwise.
func (r *recovery) reindex(s *segment, scan *scanner, survivors map[uint64]Row) (rebuilt []byte, err error) {
	for s.size < scan.end {
		b, err := scan.batch(s.size)
		if err != nil {
			if errors.Is(err, ErrCorrupt) {
				err = nil
			}
			return rebuilt, ignoreEOF(err)
		}
		if b.BaseOffset() != r.next || uint64(uint32(b.LeaderEpoch())) != r.term || b.Checksum() != b.CRC() {
			return rebuilt, nil
		}
		row, err := batchRow(b)
		if err != nil {
			return rebuilt, nil
		}
		row.Index, row.Term, row.Position, row.PayloadPosition = r.index+1, r.term, s.size, int32(r.log.w.payloadSize)
		if left, ok := survivors[row.Index]; ok && left != row {
			return nil, fmt.Errorf("%s: row %d says offset %d at %d, batches say offset %d at %d: %w",
				s.files.rows, row.Index, left.BaseOffset, left.Position, row.BaseOffset, row.Position, ErrCorrupt)
		}
		rebuilt = appendRow(rebuilt, row)
		r.take(s, row)
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
	if l.w.payload != nil {
		return l.w.payload.Truncate(l.w.payloadSize)
	}
	return nil
}

// seal makes the recovered segment a sealed one: more follow.
func (r *recovery) seal() error {
	l, s := r.log, r.view.active
	r.cut = r.cut || s.size == 0 // a segment is sealed only behind a batch
	if r.cut {
		return nil
	}
	if err := l.writeIndexes(&s); err != nil {
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

// finish makes sure that there is an active segment and publishes the log.
func (r *recovery) finish() error {
	l, v := r.log, &r.view
	if !r.begun {
		if err := r.begin(r.next); err != nil {
			return err
		}
	}
	if v.active.files == nil || len(v.sealed) > 0 && v.sealed[len(v.sealed)-1].base == v.active.base {
		l.releaseWriting(&l.w)
		fresh, w, err := l.newSegment(r.next, r.index+1)
		if err != nil {
			return err
		}
		v.active, l.w = fresh, w
	}
	if l.f.base > v.active.base {
		return fmt.Errorf("the log ends in segment %d, but %d was synced: %w", v.active.base, l.f.base, ErrCorrupt)
	}
	v.lastTerm = r.term
	l.state = r.built
	l.dirty.directory = true
	l.view.Store(v)
	if len(l.dirty.segments) > 0 {
		l.tasks.Go(l.flushSealedSegments)
	}
	return nil
}
