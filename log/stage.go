package log

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// A PrefixFile is one of the files of a clean segment, as replicas name them to
// each other.
type PrefixFile uint8

// The files, in the order in which they travel: the seal tells the size of the rest.
const (
	prefixSeal PrefixFile = iota
	prefixIndex
	prefixTimes
	prefixTxns
	prefixHeads
	prefixLog
)

// MaxPiece is the most bytes of a file that travel at once.
const MaxPiece = 256 << 10

// maxSeal bounds a seal: some 80 000 leader epochs.
const maxSeal = 1 << 20

func (f *segmentFiles) prefix(which PrefixFile) (name string, ok bool) {
	names := [...]string{f.seal, f.index, f.time, f.txn, f.heads, f.log}
	if int(which) >= len(names) {
		return "", false
	}
	return names[which], true
}

// A Piece names bytes of the clean prefix that belongs to a boundary.
type Piece struct {
	Index, Term uint64 // of the boundary
	Segment     int64  // its base offset
	File        PrefixFile
	Position    int64
}

// ReadPiece reads at most MaxPiece bytes; none at the end of the file.
//
// Errors: ErrNotFound when the boundary is another now or has no such file,
// those of the file system.
func (l *Log) ReadPiece(p Piece) ([]byte, error) {
	v := l.view.Load()
	gone := fmt.Errorf("file %d of segment %d at boundary %d of term %d, the boundary is %d of term %d: %w", p.File, p.Segment, p.Index, p.Term, v.boundary.Index, v.boundary.Term, ErrNotFound)
	if v.boundary.Index != p.Index || v.boundary.Term != p.Term {
		return nil, gone
	}
	for _, s := range v.clean {
		name, ok := s.files.prefix(p.File)
		if s.base != p.Segment || !ok {
			continue
		}
		file, err := l.handles.acquire(name)
		if err != nil {
			return nil, err
		}
		defer l.handles.release(file)
		size, err := file.Size()
		if err != nil || p.Position < 0 || p.Position >= size {
			return nil, err
		}
		b := make([]byte, min(MaxPiece, size-p.Position))
		if n, err := file.ReadAt(b, p.Position); n < len(b) {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return b, nil
	}
	return nil, gone
}

// HasFiles reports whether files belong to the snapshot, which Stage must bring
// here before ResetTo.
func (s Snapshot) HasFiles() bool { return len(s.clean) > 0 }

// Stage brings the files of a snapshot's clean prefix here, piece by piece, and
// checks every batch. ResetTo then takes them over. One Stage or ResetTo at a
// time; a restart forgets what is staged.
//
// Errors: those of pull, ErrCorrupt, ErrClosed, those of the file system. The log
// goes on as it was.
func (l *Log) Stage(ctx context.Context, s Snapshot, pull func(context.Context, Piece) ([]byte, error)) error {
	l.staged = Boundary{}
	dir := filepath.Join(l.dir, installDir)
	if err := l.fs.RemoveAll(dir); err != nil {
		return err
	}
	if err := l.fs.MkdirAll(dir, dirPerm); err != nil {
		return err
	}
	for _, c := range s.clean {
		f := fetching{log: l, pull: pull, files: filesOf(dir, c.base), at: Piece{Index: s.Boundary.Index, Term: s.Boundary.Term, Segment: c.base}}
		if err := f.segment(ctx, c); err != nil {
			return fmt.Errorf("stage the segment at offset %d: %w", c.base, err)
		}
	}
	if err := errors.Join(l.fs.SyncDir(dir), l.fs.SyncDir(l.dir)); err != nil {
		return err
	}
	l.staged = s.Boundary
	return nil
}

// fetching brings one segment of a clean prefix here.
type fetching struct {
	log   *Log
	pull  func(context.Context, Piece) ([]byte, error)
	files *segmentFiles
	at    Piece
}

func (f *fetching) segment(ctx context.Context, c cleanFile) error {
	if err := f.file(ctx, prefixSeal, -1); err != nil {
		return err
	}
	x, err := f.log.readSeal(f.files)
	if err != nil {
		return err
	}
	if x.size != c.size || x.next != c.next {
		return fmt.Errorf("%s: %d bytes up to offset %d, want %d and %d: %w", f.files.seal, x.size, x.next, c.size, c.next, ErrCorrupt)
	}
	for which, size := range map[PrefixFile]int64{prefixIndex: x.index.size, prefixTimes: x.times.size, prefixTxns: x.txns.size, prefixHeads: x.heads.size, prefixLog: x.size} {
		if size == 0 && which == prefixTxns {
			continue // there is none
		}
		if err := f.file(ctx, which, size); err != nil {
			return err
		}
	}
	return f.verify(ctx, c, x)
}

// file brings one file here, of a size that is known unless it is the seal.
func (f *fetching) file(ctx context.Context, which PrefixFile, size int64) (err error) {
	name, _ := f.files.prefix(which)
	file, err := f.log.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	limit := size
	if size < 0 {
		limit = maxSeal
	}
	for at := f.at; at.Position != size; {
		if err := f.log.usable(); err != nil {
			return err
		}
		if f.log.closing.Load() {
			return ErrClosed
		}
		at.File = which
		b, err := f.pull(ctx, at)
		if err != nil {
			return err
		}
		if len(b) == 0 && size < 0 {
			break
		}
		if len(b) == 0 || at.Position+int64(len(b)) > limit {
			return fmt.Errorf("%s: %d bytes at %d, want %d in all: %w", name, len(b), at.Position, limit, ErrCorrupt)
		}
		if _, err := file.WriteAt(b, at.Position); err != nil {
			return err
		}
		at.Position += int64(len(b))
	}
	return file.Sync()
}

// verify checks that the batches are what the heads say.
func (f *fetching) verify(ctx context.Context, c cleanFile, x seal) (err error) {
	var open [2]vfs.File
	for i, name := range []string{f.files.log, f.files.heads} {
		if open[i], err = f.log.fs.OpenFile(name, os.O_RDONLY, 0); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, open[i].Close()) }()
	}
	s := &segment{files: f.files, base: c.base, next: c.next, size: c.size, clean: true}
	chain := chain{s: s, heads: &headFile{file: open[1], name: f.files.heads, count: x.heads.size / headSize}}
	scan := newScanner(open[0], c.size)
	defer scan.free()
	last := int64(math.MinInt64)
	for position := int64(0); position < c.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := scan.batch(position)
		if err != nil {
			return fmt.Errorf("%s: %w", f.files.log, eofIsCorrupt(err))
		}
		if err := checkStaged(b, c, last); err != nil {
			return fmt.Errorf("%s at %d: %w", f.files.log, position, err)
		}
		if err := chain.check(position, b); err != nil {
			return err
		}
		position, last = position+int64(b.Size()), b.LastOffset()
	}
	return nil
}

func checkStaged(b record.Batch, c cleanFile, last int64) error {
	if b.Checksum() != b.CRC() {
		return fmt.Errorf("checksum %08x, want %08x: %w", b.Checksum(), b.CRC(), ErrCorrupt)
	}
	if b.BaseOffset() <= last || b.BaseOffset() < c.base || b.NextOffset() > c.next {
		return fmt.Errorf("offsets %d to %d behind %d, in a segment from %d to %d: %w", b.BaseOffset(), b.LastOffset(), last, c.base, c.next, ErrCorrupt)
	}
	return nil
}
