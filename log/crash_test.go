package log

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/oncelog/oncelog/log/vfs"
)

// crashStep is one step of a workload, and what the log may hold if it is interrupted.
type crashStep struct {
	name string
	run  func(l *Log) error
	keep int // for a truncation, the entries that stay; else -1
	adds []Entry
	sync bool
}

// crashWorkload rolls several times, changes terms, truncates over a segment
// edge and through a marker, and syncs in between.
func crashWorkload() []crashStep {
	var steps []crashStep
	index, term := uint64(0), uint64(1)
	add := func(name string, entries ...Entry) {
		for i := range entries {
			index++
			entries[i].Index, entries[i].Term, entries[i].LeaderAppend = index, term, true
		}
		steps = append(steps, crashStep{name: name, adds: entries, keep: -1, run: func(l *Log) error { return l.Append(entries) }})
	}
	batch := func(b []byte) Entry { return Entry{Kind: KindBatch, Data: b} }
	flush := func() {
		steps = append(steps, crashStep{name: "sync", keep: -1, sync: true, run: func(l *Log) error { return l.Sync() }})
	}
	truncate := func(keep uint64) {
		steps = append(steps, crashStep{name: "truncate", keep: int(keep), run: func(l *Log) error { return l.TruncateSuffix(keep + 1) }})
		index = keep
		term++
	}
	add("noop", Entry{Kind: KindNoop})
	add("configuration and batch", Entry{Kind: KindConfiguration, Data: []byte("a b c")}, batch(plain(2, 50)))
	for i := range 4 {
		add("data", batch(data(7, 0, int32(i*2), 2, 60, true)))
	}
	flush()
	add("void between batches", batch(plain(1, 80)), Entry{Kind: KindVoid}, batch(plain(1, 80)))
	add("abort", batch(marker(7, 0, false, 1)))
	add("data", batch(data(7, 0, 8, 1, 90, true)), batch(plain(3, 100)))
	truncate(6)
	add("noop", Entry{Kind: KindNoop})
	add("data", batch(data(7, 0, 6, 3, 90, true)))
	flush()
	for range 4 {
		add("data", batch(plain(2, 100)))
	}
	flush()
	truncate(3)
	add("noop", Entry{Kind: KindNoop})
	add("data", batch(plain(2, 100)), batch(plain(2, 10)))
	flush()
	return steps
}

// contents reads everything by index, as text.
func contents(t *testing.T, l *Log) (list []string) {
	t.Helper()
	for _, row := range rowsOf(t, l) {
		payload, err := l.Payload(row, nil)
		if err != nil {
			t.Fatalf("index %d: %v", row.Index, err)
		}
		list = append(list, describeEntry(row, payload))
	}
	return list
}

func describeEntry(row Row, payload []byte) string {
	return fmt.Sprintf("%d %d %s %d %x", row.Index, row.Term, row.Kind, row.BaseOffset, payload)
}

func rowsOf(t *testing.T, l *Log) (rows []Row) {
	t.Helper()
	for i := l.FirstIndex(); i <= l.LastIndex(); i++ {
		row, err := l.Row(i)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func TestCrashAtEveryWrite(t *testing.T) {
	cfg := Config{SegmentBytes: 600, IndexIntervalBytes: 100}
	for _, mode := range []vfs.CrashMode{vfs.Killed, vfs.Lost, vfs.Partly, vfs.Torn} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n++ {
				if done := crashOnce(t, cfg, mode, n); done {
					break
				}
				if t.Failed() {
					t.Fatalf("crash at change %d", n)
				}
			}
		})
	}
}

// crashOnce runs the workload until the disk stops at its nth change, restarts,
// and judges what is left.
func crashOnce(t *testing.T, cfg Config, mode vfs.CrashMode, n int) (done bool) {
	fs := newDisk()
	dir := filepath.FromSlash(testDir)
	fs.CrashAfter(n, uint64(n))
	l, err := Open(dir, cfg, Options{FS: fs})
	var before []string // what was stored when the step began
	synced, stopped := 0, err != nil
	var at crashStep
	if err == nil {
		for _, at = range crashWorkload() {
			if err := at.run(l); err != nil {
				if !errors.Is(err, vfs.ErrCrashed) {
					t.Fatalf("%s: %v", at.name, err)
				}
				stopped = true
				break
			}
			l.tasks.Wait()
			if l.usable() != nil {
				stopped = true // a background flush met the crash
				break
			}
			before = contents(t, l)
			if at.sync {
				synced = len(before)
			}
			synced = min(synced, len(before))
		}
		_ = l.Close() // of a dead machine
	}
	fs.Crash(mode, uint64(n))
	l, err = Open(dir, cfg, Options{FS: fs})
	if err != nil {
		t.Fatalf("reopen after %q: %v", at.name, err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	judgeCrash(t, l, at, mode, before, synced, stopped)
	checkUsable(t, l)
	return !stopped
}

// judgeCrash: what is left is a prefix of what was stored, or of that and the
// interrupted step; it holds what was synced and, if only the process died, all.
func judgeCrash(t *testing.T, l *Log, at crashStep, mode vfs.CrashMode, before []string, synced int, stopped bool) {
	t.Helper()
	left := contents(t, l)
	least := synced
	if mode == vfs.Killed {
		least = len(before)
	}
	if stopped && at.keep >= 0 {
		least = min(least, at.keep)
	}
	if len(left) < least {
		t.Fatalf("after %q: %d entries left, want at least %d", at.name, len(left), least)
	}
	for i := range min(len(left), len(before)) {
		if left[i] != before[i] {
			t.Fatalf("after %q: entry %d is %s, want %s", at.name, i+1, left[i], before[i])
		}
	}
	extra := left[min(len(left), len(before)):]
	if len(extra) > 0 && (!stopped || len(extra) > len(at.adds)) {
		t.Fatalf("after %q: %d entries more than were stored", at.name, len(extra))
	}
	for i, got := range extra {
		e := at.adds[i]
		if want := describeEntry(Row{Index: e.Index, Term: e.Term, Kind: e.Kind, BaseOffset: e.BaseOffset}, e.Data); got != want {
			t.Fatalf("after %q: entry of the interrupted append is %s, want %s", at.name, got, want)
		}
	}
}

// checkUsable appends and reads back.
func checkUsable(t *testing.T, l *Log) {
	t.Helper()
	putKind(t, l, l.LastTerm()+1, KindNoop, nil)
	b := plain(1, 10)
	base := put(t, l, b)
	got, err := l.Read(nil, base, l.EndOffset(), 1000, false)
	if err != nil || !bytes.Equal(got, b) {
		t.Fatalf("read after recovery: %d bytes (%v), want %d", len(got), err, len(b))
	}
}

// TestDamagedTail flips and cuts the last bytes of every file while the log is
// down: the log opens with a prefix, or says that synced bytes are wrong.
func TestDamagedTail(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	reported := 0
	for round := range 300 {
		fs := newDisk()
		l, err := Open(filepath.FromSlash(testDir), Config{SegmentBytes: 600, IndexIntervalBytes: 100}, Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range crashWorkload() {
			if step.sync {
				continue
			}
			if err := step.run(l); err != nil {
				t.Fatal(err)
			}
		}
		want := contents(t, l)
		l.tasks.Wait()
		active := l.view.Load().active
		syncedRows := int64(0) // a disk does not shorten what was synced
		for i := active.firstIndex; i <= active.lastIndex(); i++ {
			if row, err := l.Row(i); err != nil {
				t.Fatal(err)
			} else if row.Kind != KindBatch {
				syncedRows = active.rowPosition(i + 1)
			}
		}
		fs.Crash(vfs.Killed, 0)
		if round%2 == 0 {
			damage(t, fs, active.files.log, 0, rng)
		} else {
			damage(t, fs, active.files.rows, syncedRows, rng)
		}
		_ = l.Close() // of a dead process
		l, err = Open(filepath.FromSlash(testDir), l.Config(), Options{FS: fs})
		if errors.Is(err, ErrCorrupt) {
			reported++
			continue
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for i, row := range rowsOf(t, l) {
			if payload, err := l.Payload(row, nil); errors.Is(err, ErrCorrupt) {
				reported++
			} else if got := describeEntry(row, payload); err != nil || i >= len(want) || got != want[i] {
				t.Fatalf("round %d: entry %d is %s (%v)", round, i+1, got, err)
			}
		}
		checkUsable(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if reported > 200 {
		t.Errorf("%d of 300 damages reported as corruption of synced bytes: the tail is hardly tested", reported)
	}
	t.Logf("%d of 300 damages were in synced bytes", reported)
}

// damage flips a bit of a file, or cuts it at or behind whole.
func damage(t *testing.T, fs vfs.FS, name string, whole int64, rng *rand.Rand) {
	t.Helper()
	f, err := fs.OpenFile(name, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil || size == 0 {
		t.Fatal(size, err)
	}
	at := rng.Int64N(size)
	if rng.IntN(2) == 0 {
		err = f.Truncate(max(at, whole))
	} else {
		b := make([]byte, 1)
		if _, err = f.ReadAt(b, at); err == nil {
			b[0] ^= 1 << rng.IntN(8)
			_, err = f.WriteAt(b, at)
		}
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
