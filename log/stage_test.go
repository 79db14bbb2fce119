package log

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
)

// compactedSource is a log with a clean prefix of several segments and rows behind it.
func compactedSource(t *testing.T) *Log {
	t.Helper()
	source := mustOpen(t, newDisk(), compactConfig)
	putKind(t, source, 4, KindConfiguration, []byte("voters"))
	w := newKeyedWorkload(1)
	w.write(t, source, 300)
	if result := mustCompact(t, source, w.now); !result.Ran || len(source.view.Load().clean) < 2 {
		t.Fatalf("compaction: %+v, %d clean segments, want several", result, len(source.view.Load().clean))
	}
	w.write(t, source, 5)
	return source
}

func pullFrom(source *Log) func(context.Context, Piece) ([]byte, error) {
	return func(_ context.Context, p Piece) ([]byte, error) { return source.ReadPiece(p) }
}

// copyRows appends the rows of one log above another's end to it.
func copyRows(t *testing.T, from, to *Log) {
	t.Helper()
	for index := to.LastIndex() + 1; index <= from.LastIndex(); index++ {
		row, err := from.Row(index)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := from.Payload(row, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := to.Append([]Entry{{Index: row.Index, Term: row.Term, Kind: row.Kind, Data: payload}}); err != nil {
			t.Fatal(err)
		}
	}
}

// hard-33: a compacted log travels with its files; a crash at any change of the
// disk leaves the older log or the new one.
func TestHard33CompactedLogIsInstalled(t *testing.T) {
	source := compactedSource(t)
	snapshot, err := source.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if snapshot, err = DecodeSnapshot(snapshot.Encode()); err != nil || !snapshot.HasFiles() {
		t.Fatalf("snapshot on its way: %v, with files: %v", err, snapshot.HasFiles())
	}
	for n := 0; ; n++ {
		fs := newDisk()
		l := mustOpen(t, fs, compactConfig)
		w := newKeyedWorkload(2)
		w.write(t, l, 100)
		mustCompact(t, l, w.now)
		older := committedView(t, l)
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		l.tasks.Wait()
		fs.CrashAfter(n, uint64(n))
		stopped := l.Stage(t.Context(), snapshot, pullFrom(source))
		if stopped == nil {
			stopped = l.ResetTo(snapshot)
		}
		_ = l.Close() // perhaps of a dead machine
		fs.Crash(vfs.Lost, uint64(n))
		l = mustOpen(t, fs, compactConfig)
		if _, err := fs.Stat(filepath.Join(l.dir, installDir)); err == nil {
			t.Fatalf("crash at change %d: staged files are left", n)
		}
		if l.Boundary().Index != snapshot.Boundary.Index {
			if stopped == nil || !maps.Equal(committedView(t, l), older) {
				t.Fatalf("crash at change %d: boundary %d, %v", n, l.Boundary().Index, stopped)
			}
			continue
		}
		copyRows(t, source, l)
		if !maps.Equal(committedView(t, l), committedView(t, source)) || l.LatestEpoch() != source.LatestEpoch() || len(l.Producers()) != len(source.Producers()) {
			t.Fatalf("crash at change %d: the installed log differs", n)
		}
		if stopped == nil {
			if !slices.EqualFunc(batchesOf(t, l), batchesOf(t, source), slices.Equal) {
				t.Error("installed batches differ")
			}
			if result := mustCompact(t, l, time.Now()); result.Ran && result.UpTo < snapshot.Boundary.NextOffset {
				t.Errorf("compaction of the installed log: %+v", result)
			}
			return
		}
	}
}

// The same on a real disk, twice: the second replaces what the first installed.
func TestCompactedLogIsInstalledOnDisk(t *testing.T) {
	source := compactedSource(t)
	l := openOn(t, filepath.Join(t.TempDir(), "topic-0"), vfs.OS, compactConfig)
	put(t, l, plain(3, 10))
	for range 2 {
		snapshot, err := source.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Stage(t.Context(), snapshot, pullFrom(source)); err != nil {
			t.Fatal(err)
		}
		if err := l.ResetTo(snapshot); err != nil {
			t.Fatal(err)
		}
		copyRows(t, source, l)
		if !slices.EqualFunc(batchesOf(t, l), batchesOf(t, source), slices.Equal) {
			t.Error("installed batches differ")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openOn(t, l.dir, vfs.OS, compactConfig)
		if !maps.Equal(committedView(t, l), committedView(t, source)) {
			t.Error("the installed log differs after a restart")
		}
	}
}

// What is not what the source has is not staged, and the log goes on as it was.
func TestStagedFilesAreChecked(t *testing.T) {
	source := compactedSource(t)
	snapshot, err := source.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, newDisk(), compactConfig)
	put(t, l, plain(3, 10))
	if err := l.ResetTo(snapshot); !errors.Is(err, ErrMismatch) {
		t.Errorf("install without the files: %v", err)
	}
	for name, change := range map[string]func(Piece, []byte) []byte{
		"a changed seal":  func(p Piece, b []byte) []byte { return changedIf(b, p.File == prefixSeal) },
		"a changed head":  func(p Piece, b []byte) []byte { return changedIf(b, p.File == prefixHeads) },
		"a changed batch": func(p Piece, b []byte) []byte { return changedIf(b, p.File == prefixLog) },
		"a short file": func(p Piece, b []byte) []byte {
			if p.File == prefixLog && p.Position == 0 {
				return b[:len(b)-1]
			}
			return b
		},
		"a seal without end": func(p Piece, b []byte) []byte {
			if p.File == prefixSeal {
				return make([]byte, MaxPiece)
			}
			return b
		},
	} {
		err := l.Stage(t.Context(), snapshot, func(_ context.Context, p Piece) ([]byte, error) {
			b, err := source.ReadPiece(p)
			return change(p, b), err
		})
		if name == "a short file" {
			if err != nil {
				t.Errorf("pieces may be small: %v", err)
			}
			continue
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
		if err := l.ResetTo(snapshot); !errors.Is(err, ErrMismatch) || l.EndOffset() != 3 {
			t.Errorf("install after %s: %v, log end %d", name, err, l.EndOffset())
		}
	}
	if _, err := source.ReadPiece(Piece{Index: 1, Term: 1, File: prefixLog}); !errors.Is(err, ErrNotFound) {
		t.Errorf("piece of an older boundary: %v", err)
	}
	b := source.Boundary()
	if _, err := source.ReadPiece(Piece{Index: b.Index, Term: b.Term, File: 99}); !errors.Is(err, ErrNotFound) {
		t.Errorf("piece of a file that is none: %v", err)
	}
}

func changedIf(b []byte, yes bool) []byte {
	if yes && len(b) > 70 {
		b = slices.Clone(b)
		b[70] ^= 4
	}
	return b
}

func TestBytesFrom(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{SegmentBytes: 600})
	size := int64(len(plain(1, 100)))
	for range 10 {
		put(t, l, plain(1, 100))
	}
	if len(l.view.Load().sealed) < 2 {
		t.Fatal("want several segments")
	}
	for index := uint64(1); index <= 10; index++ {
		if got, want := l.BytesFrom(index), int64(11-index)*size; got != want {
			t.Errorf("%d bytes from index %d, want %d", got, index, want)
		}
	}
	if got := l.BytesFrom(11); got != 0 {
		t.Errorf("%d bytes behind the log end", got)
	}
}
