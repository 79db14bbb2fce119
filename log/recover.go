package log

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

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
	if err := l.makeDirectory(); err != nil {
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

// makeDirectory makes the directory last, if it is not there.
func (l *Log) makeDirectory() error {
	_, err := l.fs.Stat(l.dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.fs.MkdirAll(l.dir, dirPerm); err != nil {
		return err
	}
	return l.fs.SyncDir(filepath.Dir(l.dir))
}

// checkFormat refuses a directory of another format, and marks a new one. The
// mark is not synced: one that a crash cut is written again.
func (l *Log) checkFormat() error {
	name := filepath.Join(l.dir, formatFile)
	b, _, err := readFile(l.fs, name)
	switch {
	case err != nil:
		return err
	case string(b) == formatText:
		return nil
	case strings.HasPrefix(formatText, strings.TrimRight(string(b), "\x00")):
		return writeFile(l.fs, name, []byte(formatText), false)
	}
	return fmt.Errorf("format %q, this program knows %q: %w", firstLine(b), firstLine([]byte(formatText)), ErrNewerFormat)
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
	removed := false
	for _, entry := range entries {
		if !l.surplus(m, bases, entry.Name()) {
			continue
		}
		removed = true
		if err := l.fs.RemoveAll(filepath.Join(l.dir, entry.Name())); err != nil {
			return nil, err
		}
	}
	if !removed {
		return bases, nil
	}
	return bases, l.fs.SyncDir(l.dir) // or a later crash brings them back
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
		s := &segment{files: filesOf(dir, c.base), base: c.base, next: c.next, size: c.size, clean: true, sparse: newSparse(), hints: new(hints), ended: new(abortedList)}
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
	s := &segment{files: filesOf(l.dir, base), base: base, firstIndex: r.index + 1, sparse: newSparse(), hints: new(hints), ended: new(abortedList)}
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
	if v.start > 0 { // a crash may have come between the meta file and the next checkpoint
		r.built.epochs = r.built.epochs.trim(v.start)
	}
	l.state = r.built
	l.dirty.directory, l.dirty.rows = true, v.active.rows > 0 // by whom and whether synced is not known
	l.view.Store(v)
	if len(l.dirty.segments) > 0 {
		l.tasks.Go(l.flushSealedSegments)
	}
	return nil
}
