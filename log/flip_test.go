package log

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
)

// flipWindow is how many of a file's last bytes are damaged in turn.
const flipWindow = 64 << 10

// TestDamagedBytes damages a log that was closed, all of which is on the disk:
// in every file each byte is changed once, and the file is cut there once. The
// log then holds what it held, or says what is wrong and serves the rest; it
// never serves anything else, and never less without a word (promise 24). Of
// larger files a sample is damaged, with ONCELOG_SWEEP=full all of them.
func TestDamagedBytes(t *testing.T) {
	disk, want := finishedLog(t)
	tally := map[string]*[3]int{} // kind of file -> positions, recovered, reported
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, name := range filesUnder(t, disk, filepath.FromSlash(testDir)) {
		content, _, err := readFile(disk, name)
		if err != nil {
			t.Fatal(err)
		}
		kind := kindOf(name)
		if tally[kind] == nil {
			tally[kind] = new([3]int)
		}
		for at := max(0, len(content)-flipWindow); at < len(content); at++ {
			if !sweepAll() && (len(content) > 64 && rng.IntN(6) > 0 || testing.Short() && rng.IntN(10) > 0) {
				continue
			}
			for _, d := range []damage{{name, int64(at), byte(1 + rng.IntN(255))}, {name, int64(at), 0}} {
				reported := d.judge(t, disk.Clone(), want)
				tally[kind][0]++
				if reported {
					tally[kind][2]++
				} else {
					tally[kind][1]++
				}
			}
		}
	}
	t.Logf("%-24s %9s %9s %9s", "file", "damages", "recovered", "reported")
	for _, kind := range slices.Sorted(maps.Keys(tally)) {
		t.Logf("%-24s %9d %9d %9d", kind, tally[kind][0], tally[kind][1], tally[kind][2])
	}
}

// finishedLog is a log with a file of each kind, closed.
func finishedLog(t *testing.T) (*vfs.Mem, *contentOf) {
	t.Helper()
	r := &crashRun{fs: newDisk(), cfg: crashConfig, now: compactionTime}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	for _, step := range crashWorkload() {
		if err := step.run(r); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		r.log.tasks.Wait()
	}
	if err := r.log.Close(); err != nil {
		t.Fatal(err)
	}
	disk := r.fs.Clone()
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	want, err := readContent(r.log, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.log.Close(); err != nil {
		t.Fatal(err)
	}
	return disk, want
}

func filesUnder(t *testing.T, disk vfs.FS, dir string) (names []string) {
	t.Helper()
	entries, err := disk.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := filepath.Join(dir, entry.Name())
		if entry.IsDir() {
			names = append(names, filesUnder(t, disk, name)...)
		} else {
			names = append(names, name)
		}
	}
	return names
}

// kindOf is a file's name without its numbers.
func kindOf(name string) string {
	kind := filepath.Base(name)
	if ext := filepath.Ext(name); ext != "" {
		kind = ext
	}
	if strings.HasPrefix(filepath.Base(filepath.Dir(name)), cleanDir) {
		kind = cleanDir + "*/" + kind
	}
	return kind
}

// A damage is done to a file while the log is closed.
type damage struct {
	name string
	at   int64
	flip byte // the byte there is changed by it; 0: the file ends there
}

func (d damage) String() string {
	if d.flip == 0 {
		return fmt.Sprintf("%s cut at %d", d.name, d.at)
	}
	return fmt.Sprintf("%s byte %d xor %#02x", d.name, d.at, d.flip)
}

// about is what an error must name: the partition, and for a whole file the file.
// What a segment's file lacks may show in the next segment only.
func (d damage) about() string {
	if base := filepath.Base(d.name); !strings.HasPrefix(base, "0000") {
		return base
	}
	return filepath.FromSlash(testDir)
}

func (d damage) do(t *testing.T, disk vfs.FS) {
	t.Helper()
	f, err := disk.OpenFile(d.name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d.flip == 0 {
		err = f.Truncate(d.at)
	} else {
		b := make([]byte, 1)
		_, err = f.ReadAt(b, d.at)
		b[0] ^= d.flip
		if err == nil {
			_, err = f.WriteAt(b, d.at)
		}
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// judge damages the disk, opens the log and compares all that it says.
func (d damage) judge(t *testing.T, disk *vfs.Mem, want *contentOf) (reported bool) {
	t.Helper()
	d.do(t, disk)
	l, err := Open(filepath.FromSlash(testDir), crashConfig, Options{FS: disk})
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), d.about()) {
			t.Errorf("%v: the log does not open and says %v", d, err)
		}
		return true
	}
	l.tasks.Wait()
	var wrong []string
	got, err := readContent(l, func(err error) {
		reported = true
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), filepath.FromSlash(testDir)) {
			wrong = append(wrong, fmt.Sprintf("error that does not tell what is wrong where: %v", err))
		}
	})
	if err != nil {
		t.Errorf("%v: %v", d, err)
	}
	if wrong = append(wrong, want.differs(got)...); len(wrong) > 0 {
		t.Errorf("%v:\n%s", d, strings.Join(wrong, "\n"))
	}
	if err := l.Close(); err != nil {
		t.Errorf("%v: close: %v", d, err)
	}
	return reported
}

// contentOf is everything that a log answers, as text by what was asked.
type contentOf struct {
	answers map[string]string
}

// readContent asks a log everything. An answer that is an error goes to failed
// and is left out.
func readContent(l *Log, failed func(error)) (*contentOf, error) {
	c := &contentOf{answers: map[string]string{}}
	var unexpected error
	note := func(what string, answer any, err error) {
		switch {
		case err == nil:
			c.answers[what] = fmt.Sprint(answer)
		case failed == nil:
			unexpected = errors.Join(unexpected, fmt.Errorf("%s: %w", what, err))
		default:
			failed(err)
		}
	}
	note("log", fmt.Sprintf("%d to %d, indexes %d to %d, boundary %+v", l.StartOffset(), l.EndOffset(), l.FirstIndex(), l.LastIndex(), l.Boundary()), nil)
	for from := l.StartOffset(); from < l.EndOffset(); from++ {
		b, err := l.Read(nil, from, l.EndOffset(), 1, true)
		note(fmt.Sprint("read ", from), fmt.Sprintf("%x", b), err)
	}
	for i := l.FirstIndex(); i <= l.LastIndex(); i++ {
		row, err := l.Row(i)
		note(fmt.Sprint("row ", i), fmt.Sprintf("%+v", row), err)
		if err == nil {
			payload, err := l.Payload(row, nil)
			note(fmt.Sprint("payload ", i), fmt.Sprintf("%x", payload), err)
		}
	}
	for from := l.StartOffset(); from < l.EndOffset(); from++ {
		aborted, err := l.Aborted(from, l.EndOffset(), nil)
		note(fmt.Sprint("aborted from ", from), aborted, err)
	}
	for ts := compactionTime.UnixMilli(); ts < compactionTime.UnixMilli()+150; ts++ {
		offset, timestamp, epoch, ok, err := l.OffsetForTime(ts, l.EndOffset())
		note(fmt.Sprint("time ", ts), fmt.Sprint(offset, timestamp, epoch, ok), err)
	}
	offset, timestamp, epoch, ok, err := l.MaxTimestamp(l.EndOffset())
	note("largest time", fmt.Sprint(offset, timestamp, epoch, ok), err)
	note("producers", describeAll(l.state.producers), nil)
	note("epochs", l.state.epochs, nil)
	start, ok := l.RetentionStart(compactionTime.Add(time.Hour), l.EndOffset())
	note("retention", fmt.Sprint(start, ok), nil)
	return c, unexpected
}

// differs tells which answers are not those of before.
func (c *contentOf) differs(got *contentOf) (list []string) {
	for _, what := range slices.Sorted(maps.Keys(got.answers)) {
		if want := c.answers[what]; got.answers[what] != want {
			list = append(list, fmt.Sprintf("%s: %.300s, want %.300s", what, got.answers[what], want))
		}
	}
	return list
}

// What was not synced may be damaged by a crash in any way: the log then ends
// before it, or says that something was synced and is not there.
func TestDamagedTail(t *testing.T) {
	r := &crashRun{fs: newDisk(), cfg: crashConfig, now: compactionTime}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	for _, step := range crashWorkload() {
		if step.name == "sync" {
			continue
		}
		if err := step.run(r); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		r.log.tasks.Wait()
	}
	want, active := contents(t, r.log), r.log.view.Load().active
	whole := map[string]int64{active.files.log: 0, active.files.rows: 0} // a disk does not shorten what was synced
	for i := active.firstIndex; i <= active.lastIndex(); i++ {
		if row, err := r.log.Row(i); err != nil {
			t.Fatal(err)
		} else if row.Kind != KindBatch {
			whole[active.files.rows] = active.rowPosition(i + 1)
		}
	}
	disk := r.fs.Clone()
	if err := r.log.Close(); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	opened, refused := 0, 0
	for name := range whole {
		content, _, err := readFile(disk, name)
		if err != nil {
			t.Fatal(err)
		}
		for at := range content {
			for _, d := range []damage{{name, int64(at), byte(1 + rng.IntN(255))}, {name, max(int64(at), whole[name]), 0}} {
				copied := disk.Clone()
				d.do(t, copied)
				l, err := Open(filepath.FromSlash(testDir), crashConfig, Options{FS: copied})
				if errors.Is(err, ErrCorrupt) {
					refused++
					continue
				}
				if err != nil {
					t.Fatalf("%v: %v", d, err)
				}
				opened++
				if got := contents(t, l); len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
					t.Fatalf("%v: %d entries are no prefix of the %d before", d, len(got), len(want))
				}
				checkUsable(t, l)
				if err := l.Close(); err != nil {
					t.Fatalf("%v: %v", d, err)
				}
			}
		}
	}
	if opened < refused {
		t.Errorf("%d damages were refused, %d recovered: the tail is hardly tested", refused, opened)
	}
	t.Logf("%d damages recovered to a prefix, %d were of what had been synced", opened, refused)
}

// The state of producers at the beginning of the log is in one file: without it
// duplicates would pass, so damage of it is told.
func TestDamagedStateAtTheBoundary(t *testing.T) {
	fs := newDisk()
	l, err := Open(filepath.FromSlash(testDir), Config{}, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	put(t, l, data(7, 0, 0, 1, 10, false))
	if err := errors.Join(l.ApplyStart(1, 1, 1), l.Close()); err != nil {
		t.Fatal(err)
	}
	name := snapshotPath(l.dir, 1)
	damage{name, 20, 1}.do(t, fs)
	if _, err := Open(l.dir, Config{}, Options{FS: fs}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) {
		t.Errorf("open: %v", err)
	}
}
