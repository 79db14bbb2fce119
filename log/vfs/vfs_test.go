package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func mustCreate(t *testing.T, f FS, name string) File {
	t.Helper()
	file, err := f.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func mustWrite(t *testing.T, f File, text string, at int64) {
	t.Helper()
	if n, err := f.WriteAt([]byte(text), at); n != len(text) || err != nil {
		t.Fatal(n, err)
	}
}

func content(t *testing.T, f FS, name string) string {
	t.Helper()
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return "error: " + err.Error()
	}
	size, err := file.Size()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(file, 0, size))
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestFileSystemsAgree runs the same steps on the operating system and in memory.
func TestFileSystemsAgree(t *testing.T) {
	for name, f := range map[string]FS{"OS": OS, "Mem": NewMem(), "Err": NewErr(NewMem())} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "a", "b")
			if err := f.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := f.Mkdir(dir, 0o700); !errors.Is(err, fs.ErrExist) {
				t.Errorf("make a directory that is there: %v", err)
			}
			if err := f.Mkdir(filepath.Join(root, "none", "c"), 0o700); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("make a directory in a missing one: %v", err)
			}
			if err := errors.Join(f.Mkdir(filepath.Join(dir, "c"), 0o700), f.RemoveAll(filepath.Join(dir, "c"))); err != nil {
				t.Error(err)
			}
			file := mustCreate(t, f, filepath.Join(dir, "one"))
			mustWrite(t, file, "hello", 3)
			if err := errors.Join(file.Preallocate(0, 1<<20), file.Sync(), f.SyncDir(dir)); err != nil {
				t.Fatal(err)
			}
			if size, err := file.Size(); size != 8 || err != nil {
				t.Errorf("size %d, %v", size, err)
			}
			if got := content(t, f, file.Name()); got != "\x00\x00\x00hello" {
				t.Errorf("content %q", got)
			}
			if n, err := file.ReadAt(make([]byte, 10), 3); n != 5 || err != io.EOF {
				t.Errorf("read over the end: %d, %v", n, err)
			}
			if err := errors.Join(file.Truncate(4), file.Close()); err != nil {
				t.Fatal(err)
			}
			if err := f.Rename(filepath.Join(dir, "one"), filepath.Join(dir, "two")); err != nil {
				t.Fatal(err)
			}
			entries, err := f.ReadDir(dir)
			if err != nil || len(entries) != 1 || entries[0].Name() != "two" {
				t.Errorf("entries %v, %v", entries, err)
			}
			if info, err := f.Stat(filepath.Join(dir, "two")); err != nil || info.Size() != 4 || info.IsDir() {
				t.Errorf("stat %v, %v", info, err)
			}
			if _, err := f.OpenFile(filepath.Join(dir, "one"), os.O_RDWR, 0); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open a missing file: %v", err)
			}
			if _, err := f.OpenFile(filepath.Join(dir, "two"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); !errors.Is(err, fs.ErrExist) {
				t.Errorf("create an existing file: %v", err)
			}
			if err := f.Remove(filepath.Join(dir, "two")); err != nil {
				t.Error(err)
			}
			if err := f.Remove(filepath.Join(dir, "two")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("remove a missing file: %v", err)
			}
			if err := errors.Join(f.RemoveAll(filepath.Join(root, "a")), f.RemoveAll(filepath.Join(root, "none"))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLockIsExclusive(t *testing.T) {
	for name, f := range map[string]FS{"OS": OS, "Mem": NewMem()} {
		path := filepath.Join(t.TempDir(), ".lock")
		held, err := f.Lock(path)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := f.Lock(path); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: second lock: %v", name, err)
		}
		if err := held.Close(); err != nil {
			t.Error(name, err)
		}
		again, err := f.Lock(path)
		if err != nil {
			t.Fatalf("%s: lock after release: %v", name, err)
		}
		if err := again.Close(); err != nil {
			t.Error(name, err)
		}
	}
}

func TestCrashLosesWhatWasNotSynced(t *testing.T) {
	m := NewMem()
	file := mustCreate(t, m, "synced")
	mustWrite(t, file, "old", 0)
	if err := errors.Join(file.Sync(), m.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, file, "NEWER", 0)
	mustWrite(t, file, "!", 5)
	if err := errors.Join(file.Truncate(2), file.Truncate(9)); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, mustCreate(t, m, "never"), "x", 0)
	if err := m.Remove("synced"); err != nil {
		t.Fatal(err)
	}
	m.Crash(Lost, 1)
	if got := content(t, m, "synced"); got != "old" {
		t.Errorf("synced file holds %q, want %q", got, "old")
	}
	if _, err := m.Stat("never"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("file whose name was not synced: %v", err)
	}
	if _, err := file.WriteAt([]byte("x"), 0); !errors.Is(err, ErrCrashed) {
		t.Errorf("write through a file of before: %v", err)
	}
}

func TestKilledKeepsEverything(t *testing.T) {
	m := NewMem()
	mustWrite(t, mustCreate(t, m, "f"), "hello", 0)
	m.Crash(Killed, 0)
	if got := content(t, m, "f"); got != "hello" {
		t.Errorf("got %q", got)
	}
}

// TestPartsThatSurvive: each sector is either as synced or as last written.
func TestPartsThatSurvive(t *testing.T) {
	old, changed := bytes.Repeat([]byte("o"), 4*sector), bytes.Repeat([]byte("n"), 6*sector)
	outcomes := map[string]bool{}
	for _, mode := range []CrashMode{Partly, Torn} {
		for seed := range uint64(40) {
			m := NewMem()
			file := mustCreate(t, m, "f")
			mustWrite(t, file, string(old), 0)
			if err := errors.Join(file.Sync(), m.SyncDir(".")); err != nil {
				t.Fatal(err)
			}
			mustWrite(t, file, string(changed), 0)
			m.Crash(mode, seed)
			got := []byte(content(t, m, "f"))
			if len(got) < len(old) || len(got) > len(changed) {
				t.Fatalf("mode %d: %d bytes left", mode, len(got))
			}
			pattern := ""
			for at := 0; at < len(got); at += sector {
				part := got[at:min(at+sector, len(got))]
				for _, b := range part {
					if b != part[0] {
						t.Fatalf("mode %d: sector %d is mixed", mode, at/sector)
					}
				}
				pattern += string(part[:1])
			}
			outcomes[pattern] = true
		}
	}
	if len(outcomes) < 10 {
		t.Errorf("only %d different outcomes", len(outcomes))
	}
}

func TestCrashAfterStopsTheDisk(t *testing.T) {
	m := NewMem()
	file := mustCreate(t, m, "f")
	m.CrashAfter(1, 5)
	mustWrite(t, file, "first", 0)
	if _, err := file.WriteAt(bytes.Repeat([]byte("x"), 100), 5); !errors.Is(err, ErrCrashed) {
		t.Fatalf("second change: %v", err)
	}
	if err := file.Sync(); !errors.Is(err, ErrCrashed) {
		t.Errorf("sync on a dead machine: %v", err)
	}
	if _, err := m.Stat("f"); !errors.Is(err, ErrCrashed) {
		t.Errorf("stat on a dead machine: %v", err)
	}
	m.Crash(Killed, 0)
	if got := content(t, m, "f"); len(got) < 5 || len(got) > 105 || got[:5] != "first" {
		t.Errorf("left %q", got)
	}
}

// TestUndoAgainstCopies compares a crash with copies kept at each sync.
func TestUndoAgainstCopies(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 500 {
		m := NewMem()
		file := mustCreate(t, m, "f")
		if err := m.SyncDir("."); err != nil {
			t.Fatal(err)
		}
		var synced string
		for range rng.IntN(12) {
			switch rng.IntN(4) {
			case 0:
				if err := file.Truncate(rng.Int64N(40)); err != nil {
					t.Fatal(err)
				}
			case 1:
				if err := file.Sync(); err != nil {
					t.Fatal(err)
				}
				synced = content(t, m, "f")
			default:
				mustWrite(t, file, "abcdefgh"[:rng.IntN(9)], rng.Int64N(40))
			}
		}
		m.Crash(Lost, 0)
		if got := content(t, m, "f"); got != synced {
			t.Fatalf("got %q, want %q", got, synced)
		}
	}
}

func TestRulesMakeOperationsFail(t *testing.T) {
	e := NewErr(NewMem(), Rule{Op: OpWrite, Pattern: "*.log", After: 1, Times: 1, Error: ENOSPC, Short: 2}, Rule{Op: OpSync, Error: EIO})
	file := mustCreate(t, e, "a.log")
	mustWrite(t, file, "one", 0)
	if n, err := file.WriteAt([]byte("two"), 3); n != 2 || !errors.Is(err, ENOSPC) {
		t.Errorf("second write: %d, %v", n, err)
	}
	if got := content(t, e, "a.log"); got != "onetw" {
		t.Errorf("short write left %q", got)
	}
	mustWrite(t, file, "two", 3)
	mustWrite(t, mustCreate(t, e, "b.raft"), "other names pass", 0)
	if err := file.Sync(); !errors.Is(err, EIO) {
		t.Errorf("sync: %v", err)
	}
	e.SetRules()
	if err := file.Sync(); err != nil {
		t.Errorf("sync without rules: %v", err)
	}
}

func TestMemInParallel(t *testing.T) {
	m := NewMem()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := string(rune('a' + i))
			file, err := m.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				t.Error(err)
				return
			}
			for n := range int64(200) {
				if _, err := file.WriteAt([]byte(name), n); err != nil {
					t.Error(err)
				}
				if n%50 == 0 {
					if err := errors.Join(file.Sync(), m.SyncDir(".")); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if entries, err := m.ReadDir("."); len(entries) != 8 || err != nil {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// A film has the disk before each of its changes, a write begun; what was synced
// by then is in the picture, what was not may be lost from it.
func TestFilmShowsEveryMoment(t *testing.T) {
	m := NewMem()
	var frames []*Mem
	m.Film(1, func(shoot func() *Mem) { frames = append(frames, shoot()) })
	file := mustCreate(t, m, "f")
	mustWrite(t, file, "first", 0)
	if err := errors.Join(file.Sync(), m.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, file, "second", 5)
	m.Film(0, nil)
	mustWrite(t, file, "third", 11)
	if len(frames) != 5 {
		t.Fatalf("%d pictures, want one before each of 5 changes", len(frames))
	}
	if _, err := frames[0].Stat("f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file before it is made: %v", err)
	}
	for i, want := range []string{"first", "first", "first", "firstsecond"} {
		got := content(t, frames[i+1], "f")
		if len(got) > len(want) || got != want[:len(got)] || i > 0 && len(got) < 5 {
			t.Errorf("picture %d holds %q", i+1, got)
		}
	}
	for _, mode := range Modes {
		one := frames[4].Clone()
		one.Crash(mode, 1)
		got := content(t, one, "f")
		if least := map[CrashMode]int{Killed: len(content(t, frames[4], "f"))}[mode]; len(got) < max(least, 5) {
			t.Errorf("mode %d left %q", mode, got)
		}
	}
}
