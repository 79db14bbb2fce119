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

// formatText is the content of the format file, as older programs wrote it. A
// program that finds another text refuses the directory; none means this one.
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
	l := &Log{dir: filepath.Clean(dir), fs: opts.FS, logger: opts.Logger, cfg: cfg.withDefaults(), writer: newTurn(), syncer: newTurn(), cleaner: newTurn()}
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
	l.fs = vfs.LastWithParent(l.fs, l.dir)
	fresh, err := l.makeDirectory()
	if err != nil {
		return err
	}
	if fresh { // there is nothing to read
		r := recovery{log: l, fresh: true, view: view{boundary: &Boundary{}}, begun: true, built: state{producers: newProducers()}}
		return r.run(nil)
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
		view: view{boundary: &boundary, start: m.start},
	}
	if r.view.clean, err = l.cleanSegments(m); err != nil {
		return err
	}
	return r.run(bases)
}

// makeDirectory makes the directory, if it is not there. It lasts once the first
// of its files does: until then nothing in it was promised.
func (l *Log) makeDirectory() (fresh bool, err error) {
	err = l.fs.Mkdir(l.dir, dirPerm)
	switch {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		err = l.fs.MkdirAll(l.dir, dirPerm)
	}
	return err == nil, err
}

// checkFormat refuses a directory of another format. A mark that is cut short is
// an older program's, which did not sync it.
func (l *Log) checkFormat() error {
	name := filepath.Join(l.dir, formatFile)
	b, _, err := readFile(l.fs, name)
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(formatText, strings.TrimRight(string(b), "\x00")):
		return nil
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
	if err := l.fs.SyncDir(l.dir); err != nil { // as in sweep
		return m, err
	}
	return l.finishInstall(m)
}

// sweep removes files that the meta file does not count as part of the log,
// and lists the base offsets of the raft part's segments. A process that was killed
// may have left a meta file that lasts only now: a power cut would bring the one
// before back, which counts what is removed here.
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
		if !removed {
			if err := l.fs.SyncDir(l.dir); err != nil {
				return nil, err
			}
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
	if strings.HasSuffix(name, tempSuffix) || name == installDir {
		return true
	}
	if strings.HasPrefix(name, cleanDir) {
		return m.generation == 0 || name != cleanName(m.generation)
	}
	if offset, ok := baseOf(name, snapshotSuffix); ok {
		return offset < m.boundary.NextOffset
	}
	for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix, txnSuffix, rowSuffix, payloadSuffix, sealSuffix} {
		if base, ok := baseOf(name, suffix); ok {
			return !slices.Contains(bases, base)
		}
	}
	return false
}

func cleanName(generation uint32) string { return fmt.Sprintf("%s%08d", cleanDir, generation) }

// cleanSegments are the segments of the clean prefix, as the meta file lists them.
//
// Errors: of a seal.
func (l *Log) cleanSegments(m meta) (list []*segment, err error) {
	dir := filepath.Join(l.dir, cleanName(m.generation))
	for _, c := range m.clean {
		s := &segment{files: filesOf(dir, c.base), base: c.base, next: c.next, size: c.size, clean: true, sparse: newSparse(), hints: new(hints), ended: new(abortedList)}
		x, err := l.readSeal(s.files)
		if err != nil {
			return nil, err
		}
		if x.size != c.size || x.next != c.next {
			return nil, fmt.Errorf("%s: %d bytes up to offset %d, want %d and %d: %w", s.files.seal, x.size, x.next, c.size, c.next, ErrCorrupt)
		}
		s.take(x)
		list = append(list, s)
	}
	return list, nil
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
	fresh bool // the directory was made just now
	begun bool // built is in use: the segment of now is not trusted
	cut   bool // the log ended here: what follows is removed
}

func (r *recovery) run(bases []int64) error {
	l := r.log
	for i, base := range bases {
		last := i == len(bases)-1
		if !r.begun && base < l.f.base && !last {
			trusted, err := r.trust(base)
			if err != nil {
				return err
			}
			if trusted {
				continue
			}
		}
		if err := r.begin(base); err != nil {
			return err
		}
		if r.cut || base != r.next {
			if base <= l.f.base {
				return fmt.Errorf("%s was synced, but the log before it ends at offset %d: %w", filesOf(l.dir, base).log, r.next, ErrCorrupt)
			}
			if err := l.dropFrom(bases[i:]); err != nil {
				return err
			}
			break
		}
		end := int64(-1) // known where the segment was synced whole
		if base < l.f.base && !last {
			end = bases[i+1]
		}
		if err := r.segment(base, last, end); err != nil {
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
	known := r.log.meta.epochs
	if n := len(v.sealed); n > 0 {
		known = v.sealed[n-1].sums.epochs
	}
	r.built = state{producers: p, epochs: slices.Clone(known)}
	return nil
}

// trust takes a sealed segment that was flushed as its seal says. It does not if
// the seal or a file is not what was written; then the rows tell.
//
// Errors: ErrCorrupt, ErrNewerFormat, those of the file system.
func (r *recovery) trust(base int64) (bool, error) {
	l := r.log
	if base != r.next {
		return false, fmt.Errorf("%s was synced, but the log before it ends at offset %d: %w", filesOf(l.dir, base).log, r.next, ErrCorrupt)
	}
	s := &segment{files: filesOf(l.dir, base), base: base, firstIndex: r.index + 1, sparse: newSparse(), hints: new(hints), ended: new(abortedList)}
	x, err := l.readSeal(s.files)
	var last Row
	if err == nil {
		s.take(x)
		last, err = l.whole(s)
	}
	switch {
	case errors.Is(err, ErrNewerFormat), err != nil && !vanished(err):
		return false, err
	case err != nil:
		l.logger.Warn("sealed segment is damaged; it is made anew from its rows", "dir", l.dir, "error", err)
		return false, nil
	}
	r.index, r.term, r.next = s.lastIndex(), last.Term, s.next
	r.view.sealed = append(r.view.sealed, s)
	return true, nil
}

// whole compares the files of a sealed segment with its seal, as far as that is
// cheap, and returns its last row.
//
// Errors: ErrCorrupt, those of the file system.
func (l *Log) whole(s *segment) (last Row, err error) {
	for name, want := range map[string]int64{s.files.log: s.size, s.files.rows: int64(s.rows) * rowSize, s.files.index: s.sums.index.size, s.files.time: s.sums.times.size} {
		info, err := l.fs.Stat(name)
		if err != nil {
			return last, err
		}
		if info.Size() != want {
			return last, fmt.Errorf("%s has %d bytes, want %d: %w", name, info.Size(), want, ErrCorrupt)
		}
	}
	if _, err := l.abortedOf(s); err != nil {
		return last, err
	}
	if s.rows == 0 {
		return last, fmt.Errorf("%s has no rows: %w", s.files.rows, ErrCorrupt)
	}
	if _, err := l.readRow(s, s.firstIndex); err != nil {
		return last, err
	}
	if last, err = l.readRow(s, s.lastIndex()); err == nil && last.NextOffset() != s.next {
		err = fmt.Errorf("%s ends at offset %d, want %d: %w", s.files.rows, last.NextOffset(), s.next, ErrCorrupt)
	}
	return last, err
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
		if !r.fresh {
			if err := l.handles.discard(filesOf(l.dir, r.next).payload); err != nil {
				return err
			}
		}
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
	l.state, v.epochs = r.built, r.built.epochs
	l.dirty.directory, l.dirty.rows = true, v.active.rows > 0 // by whom and whether synced is not known
	l.view.Store(v)
	if len(l.dirty.segments) > 0 {
		l.tasks.Go(l.flushSealedSegments)
	}
	return nil
}
