package log

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// sweepEach is how many recoveries go by for one that is crashed in its turn, at
// each change it makes.
const sweepEach = 31

// sweepAll says that no crash is left out (ONCELOG_SWEEP=full).
func sweepAll() bool { return os.Getenv("ONCELOG_SWEEP") == "full" }

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

// TestCrashAtEveryWrite stops the disk at each change of it that the workload
// makes, in every way that a process or a machine dies; then once more at a
// change that the recovery makes: of a process killed while it compacts always,
// of the others each with ONCELOG_SWEEP=full.
func TestCrashAtEveryWrite(t *testing.T) {
	crashes := filmWorkload(t)
	var points, twice atomic.Int64
	t.Run("modes", func(t *testing.T) {
		for _, mode := range vfs.Modes {
			t.Run(fmt.Sprint(mode), func(t *testing.T) {
				t.Parallel()
				for n, c := range crashes {
					if testing.Short() && n%5 > 0 {
						continue // the race detector is slow
					}
					c.mode, c.at = mode, n
					for again, disk := range c.run(t) {
						second := c
						second.disk, second.again = disk, vfs.Modes[(n+again)%len(vfs.Modes)]
						second.twice = true
						second.run(t)
						twice.Add(1)
					}
					points.Add(1)
					if t.Failed() {
						return
					}
				}
			})
		}
	})
	t.Logf("%d crashes at %d changes of the disk, and %d during the recovery from one", points.Load(), len(crashes), twice.Load())
}

// A crash is a moment of the workload, and what the log is judged by when it is
// opened again.
type crash struct {
	disk   *vfs.Mem // at that moment
	at     int      // how many changes of the disk were made
	step   string
	before picture // after the last step that was done
	after  picture // after the one that is interrupted
	mode   vfs.CrashMode
	twice  bool // disk is of a moment of the recovery from such a crash
	again  vfs.CrashMode
}

// filmWorkload runs the workload and returns all the moments at which it may crash.
func filmWorkload(t *testing.T) (crashes []crash) {
	t.Helper()
	r := &crashRun{fs: newDisk(), cfg: crashConfig, now: compactionTime}
	step := "open"
	var pictures []picture
	steps := make([]int, 0, 2000)
	r.fs.Film(1, func(shoot func() *vfs.Mem) {
		steps = append(steps, max(len(pictures)-1, 0))
		crashes = append(crashes, crash{disk: shoot(), at: len(crashes), step: step})
	})
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	pictures = append(pictures, picture{})
	for _, s := range crashWorkload() {
		step = s.name
		if err := s.run(r); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		r.log.tasks.Wait()
		pictures = append(pictures, r.picture(t, pictures[len(pictures)-1], s))
	}
	r.fs.Film(0, nil)
	if err := r.log.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range crashes {
		crashes[i].before, crashes[i].after = pictures[steps[i]], pictures[steps[i]+1]
		if crashes[i].step == "open" {
			crashes[i].after = pictures[0]
		}
	}
	return crashes
}

// run crashes, opens and judges the log. It returns the moments of its recovery.
func (c crash) run(t *testing.T) (recovery []*vfs.Mem) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("mode %d, crash at change %d in %q, another in the recovery from it: %v", c.mode, c.at, c.step, c.twice)
		}
	}()
	r := &crashRun{fs: c.disk.Clone(), cfg: crashConfig, now: compactionTime}
	if c.twice {
		r.fs.Crash(c.again, uint64(c.at))
	} else {
		r.fs.Crash(c.mode, uint64(c.at))
	}
	if !c.twice && (sweepAll() || (c.at+int(c.mode))%sweepEach == 0 || c.mode == vfs.Killed && c.step == "compact") {
		r.fs.Film(uint64(c.at), func(shoot func() *vfs.Mem) { recovery = append(recovery, shoot()) })
	}
	if err := r.open(); err != nil {
		t.Fatalf("reopen: %v", err)
	}
	r.log.tasks.Wait()
	r.fs.Film(0, nil)
	c.judge(t, r.log)
	checkUsable(t, r.log)
	if err := r.log.Close(); err != nil {
		t.Error(err)
	}
	return recovery
}

// judge compares what is left with the pictures before and behind the
// interrupted step. The meta file changes wholly or not at all, and with it
// boundary, log start and clean prefix. Entries are a prefix of one of the two;
// all are there that were synced or, if only the process died, written.
func (c crash) judge(t *testing.T, l *Log) {
	t.Helper()
	p := c.before
	if b := l.Boundary(); b.Index != p.boundary.Index || l.StartOffset() != p.start || !slices.Equal(cleanOf(t, l), p.clean) {
		p = c.after
	}
	if diff := cmp.Diff(p.boundary, l.Boundary()); diff != "" || l.StartOffset() != p.start {
		t.Fatalf("log start %d, want %d or %d; boundary (-want +got):\n%s", l.StartOffset(), c.before.start, c.after.start, diff)
	}
	if diff := cmp.Diff(p.clean, cleanOf(t, l), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("clean prefix (-want +got):\n%s", diff)
	}
	last, left := int(l.LastIndex()), contents(t, l)
	least := min(c.before.synced, c.after.last())
	if c.mode == vfs.Killed && (!c.twice || c.again == vfs.Killed) {
		least = min(c.before.last(), c.after.last())
	}
	longer := c.before
	if c.after.last() > c.before.last() {
		longer = c.after
	}
	if last < max(least, int(p.boundary.Index)) || last > longer.last() {
		t.Fatalf("last index %d, want %d to %d", last, least, longer.last())
	}
	if diff := cmp.Diff(longer.entries[p.boundary.Index:last], left, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("entries (-want +got):\n%s", diff)
	}
	judgeState(t, l, longer.rows[:last])
	judgeReads(t, l)
}

// judgeState compares what follows from rows with what was recovered. Producers
// may have been forgotten, and compaction drops transactions without data.
func judgeState(t *testing.T, l *Log, rows []Row) {
	t.Helper()
	want := state{producers: newProducers()}
	var aborted []AbortedTxn
	for _, row := range rows {
		if txn, ok := want.add(row, time.Time{}); ok {
			aborted = append(aborted, txn)
		}
	}
	for id, got := range l.state.producers.byID {
		want := want.producers.get(id)
		if want.touched = got.touched; want != got {
			t.Fatalf("producer %d: %+v, want %+v", id, got, want)
		}
	}
	for id, p := range want.producers.byID {
		if _, known := l.state.producers.byID[id]; !known && p.txnFirstOffset != noOffset {
			t.Fatalf("producer %d with a transaction open from %d is forgotten", id, p.txnFirstOffset)
		}
	}
	if got, want := l.LastStableOffset(l.EndOffset()), max(l.StartOffset(), want.producers.lastStableOffset(l.EndOffset())); got != want {
		t.Fatalf("last stable offset %d, want %d", got, want)
	}
	if diff := cmp.Diff([]EpochStart(want.epochs.trim(l.StartOffset())), []EpochStart(l.state.epochs.trim(l.StartOffset())), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("epochs (-want +got):\n%s", diff)
	}
	got, err := l.Aborted(l.StartOffset(), l.EndOffset(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, txn := range got {
		if !slices.Contains(aborted, txn) {
			t.Fatalf("aborted transaction %+v, which is none of %+v", txn, aborted)
		}
	}
	checkAbortedKept(t, l, aborted)
}

// judgeReads reads from every offset, and finds each timestamp.
func judgeReads(t *testing.T, l *Log) {
	t.Helper()
	if l.StartOffset() == l.EndOffset() {
		return
	}
	largest := int64(-1)
	for _, b := range batchesOf(t, l) {
		for r, err := range b.Records(nil) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Timestamp <= largest || r.Offset < l.StartOffset() {
				continue
			}
			largest = r.Timestamp
			if offset, timestamp, _, ok, err := l.OffsetForTime(r.Timestamp, l.EndOffset()); offset != r.Offset || timestamp != r.Timestamp || !ok || err != nil {
				t.Fatalf("time %d is at %d with %d (%v), want offset %d", r.Timestamp, offset, timestamp, err, r.Offset)
			}
		}
	}
	for from := l.StartOffset(); from < l.EndOffset(); from++ {
		b, err := l.Read(nil, from, l.EndOffset(), 1, true)
		if err != nil || len(b) > 0 && (record.Batch(b).LastOffset() < from || record.Batch(b).Checksum() != record.Batch(b).CRC()) {
			t.Fatalf("read from %d: %d bytes, %v", from, len(b), err)
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
