package log

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// stamped is a batch of one record with a timestamp.
func stamped(ms int64, size int) record.Batch {
	b := record.NewBuilder(record.NoProducer())
	b.Append(record.Record{Timestamp: ms, Value: make([]byte, size)})
	return b.Build()
}

func TestIndexFilesHaveKafkasBytes(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{SegmentBytes: 1000, IndexIntervalBytes: 250})
	for i := range 8 {
		put(t, l, stamped(int64(1000+i), 130)) // 200 bytes each: five a segment
	}
	b, _, err := readFile(l.fs, filepath.Join(l.dir, "00000000000000000000.index"))
	if err != nil {
		t.Fatal(err)
	}
	size := len(stamped(1, 130))
	want := fmt.Sprintf("%08x%08x%08x%08x", 2, 2*size, 4, 4*size)
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("offset index %s, want %s", got, want)
	}
	b, _, err = readFile(l.fs, filepath.Join(l.dir, "00000000000000000000.timeindex"))
	if err != nil {
		t.Fatal(err)
	}
	want = fmt.Sprintf("%016x%08x%016x%08x", 1002, 2, 1004, 4)
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("time index %s, want %s", got, want)
	}
	if _, err := l.fs.Stat(filepath.Join(l.dir, "00000000000000000005.log")); err != nil {
		t.Errorf("second segment: %v", err)
	}
}

func TestTransactionIndexHasKafkasBytes(t *testing.T) {
	b := encodeAborted([]AbortedTxn{{ProducerID: 1, FirstOffset: 2, LastOffset: 3, LastStableOffset: 4}})
	if got, want := hex.EncodeToString(b), "0000"+"0000000000000001"+"0000000000000002"+"0000000000000003"+"0000000000000004"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSnapshotBeginsAsKafkas(t *testing.T) {
	p := newProducers()
	row, err := batchRow(data(9, 3, 5, 2, 1, true))
	if err != nil {
		t.Fatal(err)
	}
	row.BaseOffset = 100
	p.apply(row, time.Now())
	b := p.encode()
	want := "0001" + hex.EncodeToString(b[2:6]) + "00000001" + "0000000000000009" + "0003" + "00000006" + "0000000000000065" + "00000001" +
		fmt.Sprintf("%016x", row.MaxTimestamp) + "ffffffff" + "0000000000000064"
	if got := hex.EncodeToString(b[:len(want)/2]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestOffsetForTime(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{SegmentBytes: 1000, IndexIntervalBytes: 250, SegmentAge: time.Hour})
	putKind(t, l, 3, KindNoop, nil)
	times := []int64{100, 200, 150, 300, 300, 250, 500, 400, 600, 700}
	for _, ms := range times {
		put(t, l, stamped(ms, 130))
	}
	for ts := int64(50); ts < 750; ts += 25 {
		want := slices.IndexFunc(times, func(ms int64) bool { return ms >= ts })
		offset, timestamp, epoch, ok, err := l.OffsetForTime(ts, l.EndOffset())
		if err != nil || ok != (want >= 0) || ok && (offset != int64(want) || timestamp != times[want] || epoch != 3) {
			t.Errorf("time %d: offset %d of %d, epoch %d, %v, %v; want offset %d", ts, offset, timestamp, epoch, ok, err, want)
		}
	}
	if offset, _, _, ok, err := l.OffsetForTime(600, 8); ok || err != nil {
		t.Errorf("above the limit: %d, %v", offset, err)
	}
	if offset, timestamp, _, ok, err := l.MaxTimestamp(l.EndOffset()); offset != 9 || timestamp != 700 || !ok || err != nil {
		t.Errorf("largest: %d at %d, %v, %v", timestamp, offset, ok, err)
	}
	b := record.NewBuilder(record.NoProducer())
	for _, ms := range []int64{800, 950, 900} {
		b.Append(record.Record{Timestamp: ms, Key: []byte("k")})
	}
	put(t, l, b.Build())
	if offset, timestamp, _, ok, err := l.OffsetForTime(850, l.EndOffset()); offset != 11 || timestamp != 950 || !ok || err != nil {
		t.Errorf("inside a batch: %d at %d, %v, %v", timestamp, offset, ok, err)
	}
}

func TestRetention(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	build := func(t *testing.T, cfg Config) *Log {
		cfg.SegmentBytes = 1000
		l := mustOpen(t, newDisk(), cfg)
		for i := range 12 { // five a segment, one minute apart
			put(t, l, stamped(now.Add(time.Duration(i-12)*time.Minute).UnixMilli(), 130))
		}
		return l
	}
	size := int64(len(stamped(0, 130)))
	for _, c := range []struct {
		name string
		cfg  Config
		hw   int64
		want int64 // 0: nothing
	}{
		{"by time: one segment is old", Config{Retention: 7 * time.Minute}, 12, 5},
		{"by time: the active one too", Config{Retention: time.Second}, 12, 12},
		{"by time: not above the high watermark", Config{Retention: time.Second}, 9, 5},
		{"by size: what is too much, in whole segments", Config{RetentionBytes: 6 * size, Retention: Unlimited}, 12, 5},
		{"by size: nothing is kept", Config{RetentionBytes: Nothing, Retention: Unlimited}, 12, 12},
		{"by size: a whole segment must be too much", Config{RetentionBytes: 8 * size, Retention: Unlimited}, 12, 0},
		{"policy compact deletes nothing", Config{Retention: time.Second, CleanupCompact: true}, 12, 0},
		{"unlimited", Config{Retention: Unlimited}, 12, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := build(t, c.cfg)
			got, ok := l.RetentionStart(now, c.hw)
			if ok != (c.want > 0) || ok && got != c.want {
				t.Fatalf("log start %d, %v; want %d", got, ok, c.want)
			}
		})
	}
}

func TestLogStart(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{SegmentBytes: 1000})
	putKind(t, l, 1, KindConfiguration, []byte("voters"))
	for i := range 12 {
		put(t, l, stamped(int64(i+1), 130))
	}
	last := l.LastIndex()
	if err := l.ApplyStart(7, 12, last); err != nil {
		t.Fatal(err)
	}
	b := l.Boundary()
	if l.StartOffset() != 7 || b.NextOffset != 5 || b.Index != 6 || string(b.Configuration) != "voters" || b.ConfigurationIndex != 1 {
		t.Errorf("hard-33 log start %d, boundary %+v", l.StartOffset(), b)
	}
	if err := l.ApplyStart(3, 12, last); err != nil || l.StartOffset() != 7 {
		t.Errorf("hard-33 log start fell to %d, %v", l.StartOffset(), err)
	}
	if _, err := l.Read(nil, 6, 12, 1000, true); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("read below the log start: %v", err)
	}
	if _, err := l.Read(nil, 13, 12, 1000, true); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("hard-27 read above the log end: %v", err)
	}
	if b, err := l.Read(nil, 12, 12, 1000, true); err != nil || len(b) != 0 {
		t.Errorf("hard-27 read at the log end: %d bytes, %v", len(b), err)
	}
	if err := l.ApplyStart(12, 12, 6); err != nil || l.Boundary().Index > 6 {
		t.Errorf("hard-33 boundary %d, above what is applied; %v", l.Boundary().Index, err)
	}
	l = reopened(t, l)
	if l.StartOffset() != 12 || l.EndOffset() != 12 || l.LastIndex() != last {
		t.Errorf("reopened: start %d, end %d, last index %d", l.StartOffset(), l.EndOffset(), l.LastIndex())
	}
	if got := put(t, l, stamped(99, 1)); got != 12 {
		t.Errorf("hard-33 next offset %d, want 12", got)
	}
}

func TestEmptiedLogKeepsItsEnd(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{SegmentBytes: 1000})
	for i := range 3 {
		put(t, l, data(1, 0, int32(i), 1, 100, false))
	}
	if err := l.ApplyStart(3, 3, l.LastIndex()); err != nil {
		t.Fatal(err)
	}
	l = reopened(t, l)
	if b := l.Boundary(); b.Index != 3 || b.NextOffset != 3 || l.Size() != 0 || l.EndOffset() != 3 {
		t.Errorf("hard-33 boundary %+v, %d bytes, end %d", b, l.Size(), l.EndOffset())
	}
	if v, err := l.CheckBatch(data(1, 0, 2, 1, 100, false), ProduceInfo{}); err != nil || !v.Duplicate || v.BaseOffset != 2 {
		t.Errorf("producer state was lost with the segments: %+v, %v", v, err)
	}
}

func reopened(t *testing.T, l *Log) *Log {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, l.fs, l.Config())
}

func TestResetToSnapshot(t *testing.T) {
	source := mustOpen(t, newDisk(), Config{SegmentBytes: 1000})
	putKind(t, source, 4, KindConfiguration, []byte("voters"))
	for i := range 12 {
		put(t, source, data(1, 0, int32(i), 1, 130, false))
	}
	if err := source.ApplyStart(7, 12, source.LastIndex()); err != nil {
		t.Fatal(err)
	}
	snapshot, err := source.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		fs := newDisk()
		l := mustOpen(t, fs, Config{SegmentBytes: 1000})
		for range 20 {
			put(t, l, stamped(1, 130))
		}
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		l.tasks.Wait()
		fs.CrashAfter(n, uint64(n))
		stopped := l.ResetTo(snapshot)
		_ = l.Close() // perhaps of a dead machine
		fs.Crash(vfs.Lost, uint64(n))
		l = mustOpen(t, fs, Config{SegmentBytes: 1000})
		switch l.Boundary().Index {
		case 0:
			if l.LastIndex() != 20 || stopped == nil {
				t.Fatalf("hard-22 crash at change %d: older log ends at %d", n, l.LastIndex())
			}
		case snapshot.Boundary.Index:
			if l.EndOffset() != snapshot.Boundary.NextOffset || l.StartOffset() != l.EndOffset() || l.LatestEpoch() != 4 || len(l.Producers()) != 1 {
				t.Fatalf("hard-22 crash at change %d: end %d, start %d, epoch %d", n, l.EndOffset(), l.StartOffset(), l.LatestEpoch())
			}
		default:
			t.Fatalf("hard-22 crash at change %d: boundary %+v", n, l.Boundary())
		}
		if stopped == nil {
			return
		}
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	fs := newDisk()
	l := mustOpen(t, fs, Config{})
	put(t, l, plain(1, 1))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(fs, filepath.Join(l.dir, formatFile), []byte("oncelog partition log 2\n"), true); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(l.dir, Config{}, Options{FS: fs}); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("format 2: %v", err)
	}
	newer := meta{}.encode()
	binary.BigEndian.PutUint32(newer[4:], 2)
	if _, err := decodeMeta(newer); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("meta version 2: %v", err)
	}
}

func TestAppendIsAllOrNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		rule vfs.Rule
		stop bool // the log takes nothing more
	}{
		{"disk full in a batch", vfs.Rule{Op: vfs.OpWrite, Pattern: "*.log", After: 2, Times: 1, Error: vfs.ENOSPC, Short: 40}, false},
		{"disk full in the rows", vfs.Rule{Op: vfs.OpWrite, Pattern: "*.raft", After: 2, Times: 1, Error: vfs.ENOSPC, Short: 90}, false},
		{"disk full in a roll", vfs.Rule{Op: vfs.OpWrite, Pattern: "*.snapshot", Times: 1, Error: vfs.ENOSPC}, false},
		{"rows not synced", vfs.Rule{Op: vfs.OpSync, Pattern: "*.raft", After: 1, Times: 1, Error: vfs.EIO}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewErr(newDisk())
			l := mustOpen(t, fs, Config{SegmentBytes: 600})
			fs.SetRules(c.rule)
			putKind(t, l, 1, KindNoop, nil)
			var err error
			for err == nil {
				want := contents(t, l)
				err = l.Append([]Entry{
					{Index: l.LastIndex() + 1, Term: 1, Kind: KindBatch, Data: plain(1, 90), LeaderAppend: true},
					{Index: l.LastIndex() + 2, Term: 1, Kind: KindVoid},
					{Index: l.LastIndex() + 3, Term: 1, Kind: KindBatch, Data: plain(2, 90), LeaderAppend: true},
				})
				if got := contents(t, l); err != nil && !slices.Equal(got, want) {
					t.Fatalf("failed append left %d entries, want %d", len(got), len(want))
				}
			}
			if !errors.Is(err, c.rule.Error) {
				t.Fatalf("append: %v, want %v", err, c.rule.Error)
			}
			again := l.Append([]Entry{{Index: l.LastIndex() + 1, Term: 1, Kind: KindBatch, Data: plain(1, 90), LeaderAppend: true}})
			if c.stop != errors.Is(again, ErrFailed) {
				t.Errorf("append after it: %v", again)
			}
			l.tasks.Wait()
		})
	}
}

func TestSyncErrorStopsTheLog(t *testing.T) {
	fs := vfs.NewErr(newDisk())
	l := mustOpen(t, fs, Config{})
	put(t, l, plain(1, 1))
	fs.SetRules(vfs.Rule{Op: vfs.OpSync, Pattern: "*.log", Times: 1, Error: vfs.EIO})
	if err := l.Sync(); !errors.Is(err, vfs.EIO) {
		t.Fatalf("sync: %v", err)
	}
	if err := l.Sync(); !errors.Is(err, ErrFailed) {
		t.Errorf("second sync must not answer for lost bytes: %v", err)
	}
	if b, err := l.Read(nil, 0, 1, 100, true); err != nil || len(b) == 0 {
		t.Errorf("fetch must go on: %d bytes, %v", len(b), err)
	}
}

func TestFollowerEntriesMustMatch(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{})
	put(t, l, plain(2, 1))
	good := plain(1, 1)
	good.SetBaseOffset(2)
	good.SetLeaderEpoch(1)
	change := func(f func(record.Batch)) record.Batch {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	for name, e := range map[string]Entry{
		"wrong base offset": {Index: 2, Term: 1, Kind: KindBatch, Data: change(func(b record.Batch) { b.SetBaseOffset(3) })},
		"wrong epoch":       {Index: 2, Term: 1, Kind: KindBatch, Data: change(func(b record.Batch) { b.SetLeaderEpoch(2) })},
		"flipped bit":       {Index: 2, Term: 1, Kind: KindBatch, Data: change(func(b record.Batch) { b[70] ^= 1 })},
		"index missing":     {Index: 3, Term: 1, Kind: KindBatch, Data: good},
		"older term":        {Index: 2, Term: 0, Kind: KindNoop},
		"unknown kind":      {Index: 2, Term: 1, Kind: 9},
		"two batches":       {Index: 2, Term: 1, Kind: KindBatch, Data: append(bytes.Clone(good), good...)},
	} {
		if err := l.Append([]Entry{e}); !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := l.Append([]Entry{{Index: 2, Term: 1, Kind: KindBatch, Data: good}}); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

// A killedRemoval is a file system on which a process is killed while it removes a
// log: one of the files is gone.
type killedRemoval struct{ vfs.FS }

var errKilled = errors.New("killed")

func (f killedRemoval) RemoveAll(name string) error {
	entries, err := f.ReadDir(name)
	if err != nil {
		return f.FS.RemoveAll(name) // it is not there
	}
	return errors.Join(f.FS.RemoveAll(filepath.Join(name, entries[0].Name())), errKilled)
}

// A removal that was cut short leaves nothing that is taken for a log: the replica
// may come back, and must not be held up by what is left of the one before.
func TestRemovalIsCutShort(t *testing.T) {
	files := newDisk()
	l := openOn(t, "topic-0", killedRemoval{files}, compactConfig)
	putKind(t, l, 1, KindNoop, nil)
	for i := range 30 {
		put(t, l, keyed(record.NoProducer(), int64(i), fmt.Sprint("key", i%3, "=", strings.Repeat("x", 400))))
	}
	mustCompact(t, l, time.UnixMilli(1_700_000_000_000))
	if err := l.Remove(); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	again := openOn(t, "topic-0", files, compactConfig)
	if again.LastIndex() != 0 || again.EndOffset() != 0 {
		t.Errorf("index %d, offset %d; want an empty log", again.LastIndex(), again.EndOffset())
	}
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, e := range entries {
		if name, removed := RemovedFolder(e.Name()); removed && name == "topic-0" {
			left++
		}
	}
	if left != 1 {
		t.Errorf("%d folders are named as removed, want 1", left)
	}
	if err := again.Remove(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"topic-0", "topic-0" + removedSuffix} {
		if _, err := files.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v; want that the next removal takes all with it", name, err)
		}
	}
}

func TestRemoveDeletesTheDirectory(t *testing.T) {
	l := openOn(t, filepath.Join(t.TempDir(), "topic-0"), vfs.OS, Config{SegmentBytes: 500})
	for range 10 {
		put(t, l, plain(1, 100))
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory is there: %v", err)
	}
	if err := l.Append([]Entry{{Index: 11, Term: 1, Kind: KindNoop}}); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
}
