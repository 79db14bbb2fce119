package log

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// compactConfig rolls often and compacts whatever is dirty.
var compactConfig = Config{SegmentBytes: 2000, IndexIntervalBytes: 200, CleanupCompact: true, MinCleanableRatio: -1, DeleteRetention: time.Hour}

// keyed makes a batch of records from "key=value" texts; "key" alone is a tombstone.
func keyed(o record.BuilderOptions, timestamp int64, texts ...string) record.Batch {
	b := record.NewBuilder(o)
	for _, text := range texts {
		r := record.Record{Timestamp: timestamp}
		for i := range len(text) {
			if text[i] == '=' {
				r.Key, r.Value = []byte(text[:i]), []byte(text[i+1:])
			}
		}
		if r.Key == nil {
			r.Key = []byte(text)
		}
		b.Append(r)
	}
	return b.Build()
}

// everything is what compaction may take: no more than what is closed and applied.
func everything(l *Log, now time.Time) CompactLimits {
	end := l.EndOffset()
	return CompactLimits{HighWatermark: end, LastStableOffset: l.LastStableOffset(end), Applied: l.LastIndex(), Now: now}
}

func mustCompact(t testing.TB, l *Log, now time.Time) CompactResult {
	t.Helper()
	result, err := l.Compact(context.Background(), everything(l, now))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// batchesOf reads the whole log.
func batchesOf(t testing.TB, l *Log) (list []record.Batch) {
	t.Helper()
	b, err := l.Read(nil, l.StartOffset(), l.EndOffset(), 1<<30, true)
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 0 {
		batch, err := record.Peek(b)
		if err != nil {
			t.Fatal(err)
		}
		if batch.CRC() != batch.Checksum() {
			t.Fatalf("batch at offset %d: checksum is wrong", batch.BaseOffset())
		}
		list, b = append(list, batch), b[len(batch):]
	}
	return list
}

// committedView is what a read_committed consumer of a compacted topic ends with:
// key -> "value@offset", tombstones left out.
func committedView(t testing.TB, l *Log) map[string]string {
	t.Helper()
	aborted, err := l.Aborted(l.StartOffset(), l.EndOffset(), nil)
	if err != nil {
		t.Fatal(err)
	}
	stable := l.LastStableOffset(l.EndOffset())
	seen := map[string]string{}
	for _, b := range batchesOf(t, l) {
		hidden := b.IsControl() || b.BaseOffset() >= stable
		for _, a := range aborted {
			hidden = hidden || b.IsTransactional() && b.ProducerID() == a.ProducerID && b.BaseOffset() >= a.FirstOffset && b.BaseOffset() <= a.LastOffset
		}
		if hidden {
			continue
		}
		for r, err := range b.Records(nil) {
			if err != nil {
				t.Fatal(err)
			}
			delete(seen, string(r.Key))
			if r.Value != nil {
				seen[string(r.Key)] = fmt.Sprintf("%s@%d", r.Value, r.Offset)
			}
		}
	}
	return seen
}

// keyedWorkload writes n batches: plain ones, tombstones, transactions that
// commit or abort, of three producers.
type keyedWorkload struct {
	rng  *rand.Rand
	open map[int64]bool
	seq  map[int64]int32
	now  time.Time
}

func (w *keyedWorkload) write(t testing.TB, l *Log, n int) {
	t.Helper()
	for range n {
		var texts []string
		for range 1 + w.rng.IntN(4) {
			text := fmt.Sprintf("key%d", w.rng.IntN(12))
			if w.rng.IntN(5) > 0 {
				text += fmt.Sprintf("=value%d", w.rng.IntN(1000))
			}
			texts = append(texts, text)
		}
		pid := int64(w.rng.IntN(4))
		w.now = w.now.Add(time.Second)
		switch {
		case pid == 0:
			o := record.NoProducer()
			o.Codec = int8(w.rng.IntN(5))
			put(t, l, keyed(o, w.now.UnixMilli(), texts...))
		case w.open[pid] && w.rng.IntN(3) == 0:
			put(t, l, marker(pid, 0, w.rng.IntN(2) == 0, 1))
			w.open[pid] = false
		default:
			put(t, l, keyed(record.BuilderOptions{ProducerID: pid, BaseSequence: w.seq[pid], Transactional: true}, w.now.UnixMilli(), texts...))
			w.seq[pid] += int32(len(texts))
			w.open[pid] = true
		}
	}
}

func newKeyedWorkload(seed uint64) *keyedWorkload {
	return &keyedWorkload{rng: rand.New(rand.NewPCG(seed, 3)), open: map[int64]bool{}, seq: map[int64]int32{}, now: time.UnixMilli(1_700_000_000_000)}
}

func TestCompactionKeepsTheCommittedView(t *testing.T) {
	for seed := range uint64(30) {
		cfg := compactConfig
		cfg.CompactionKeys = []int{0, 3, 9}[seed%3] // of 12: all at a time, in shares, in fewer segments
		w, l := newKeyedWorkload(seed), mustOpen(t, newDisk(), cfg)
		putKind(t, l, 1, KindNoop, nil)
		for round := range 5 {
			w.write(t, l, 60)
			before, producers := committedView(t, l), describeAll(l.state.producers)
			aborted, err := l.Aborted(0, l.EndOffset(), nil)
			if err != nil {
				t.Fatal(err)
			}
			result := mustCompact(t, l, w.now)
			if diff := cmp.Diff(before, committedView(t, l)); diff != "" {
				t.Fatalf("seed %d round %d (-before +after):\n%s", seed, round, diff)
			}
			if round == 4 && (result.UpTo == 0 || l.FirstIndex() == 1) {
				t.Errorf("seed %d: nothing was compacted in the end", seed)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, l.fs, cfg)
			if diff := cmp.Diff(before, committedView(t, l)); diff != "" {
				t.Fatalf("seed %d round %d, reopened (-before +after):\n%s", seed, round, diff)
			}
			if got := describeAll(l.state.producers); got != producers {
				t.Fatalf("seed %d round %d: producers %s, want %s", seed, round, got, producers)
			}
			checkEveryOffset(t, l)
			checkAbortedKept(t, l, aborted)
			w.now = w.now.Add(40 * time.Minute)
		}
	}
}

// What a producer commits behind a transaction that it aborted counts: the older
// record of the key goes, and does not come back when the tombstone is dropped.
func TestCommittedBehindAbortedCounts(t *testing.T) {
	for _, keys := range []int{0, 1} { // all at a time, in shares
		cfg := compactConfig
		cfg.CompactionKeys = keys
		l := mustOpen(t, newDisk(), cfg)
		putKind(t, l, 1, KindNoop, nil)
		now := time.UnixMilli(1_700_000_000_000)
		ofOne := record.BuilderOptions{ProducerID: 1, Transactional: true}
		put(t, l, keyed(record.NoProducer(), now.UnixMilli(), "deleted=value", "kept=value"))
		put(t, l, keyed(ofOne, now.UnixMilli(), "kept=aborted"))
		put(t, l, marker(1, 0, false, 1))
		ofOne.BaseSequence++
		put(t, l, keyed(ofOne, now.UnixMilli(), "deleted"))
		put(t, l, marker(1, 0, true, 1))
		for range 3 { // the second gives the tombstone its horizon at the latest, the third drops it
			for range 3 {
				put(t, l, keyed(record.NoProducer(), now.UnixMilli(), "filler="+strings.Repeat("x", 1900)))
			}
			mustCompact(t, l, now)
			now = now.Add(2 * cfg.DeleteRetention)
		}
		got := committedView(t, l)
		delete(got, "filler")
		if diff := cmp.Diff(map[string]string{"kept": "value@1"}, got); diff != "" {
			t.Errorf("%d keys at a time: (-want +got):\n%s", keys, diff)
		}
	}
}

// checkEveryOffset reads from each offset: the first batch reaches it.
func checkEveryOffset(t *testing.T, l *Log) {
	t.Helper()
	for from := l.StartOffset(); from < l.EndOffset(); from++ {
		b, err := l.Read(nil, from, l.EndOffset(), 1, true)
		if err != nil || len(b) == 0 || record.Batch(b).LastOffset() < from {
			t.Fatalf("read from %d: %d bytes, %v", from, len(b), err)
		}
	}
}

// checkAbortedKept: an aborted transaction whose data is still there is still listed.
func checkAbortedKept(t *testing.T, l *Log, before []AbortedTxn) {
	t.Helper()
	after, err := l.Aborted(0, l.EndOffset(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batchesOf(t, l) {
		if !b.IsTransactional() || b.IsControl() {
			continue
		}
		for _, a := range before {
			if a.ProducerID == b.ProducerID() && a.FirstOffset <= b.BaseOffset() && b.BaseOffset() <= a.LastOffset && !slices.Contains(after, a) {
				t.Fatalf("aborted batch at offset %d is there, its transaction is not listed", b.BaseOffset())
			}
		}
	}
}

// compactionTime is when the rules below are tried.
var compactionTime = time.UnixMilli(1_700_000_000_000)

// sealAll writes until what was there before is in sealed segments.
func sealAll(t *testing.T, l *Log) {
	t.Helper()
	for range 3 {
		put(t, l, keyed(record.NoProducer(), compactionTime.UnixMilli(), "filler="+string(make([]byte, 1500))))
	}
}

func baseOffsets(t *testing.T, l *Log) (list []int64) {
	t.Helper()
	for _, b := range batchesOf(t, l) {
		list = append(list, b.BaseOffset())
	}
	return list
}

func TestCompactionRules(t *testing.T) {
	for name, test := range map[string]func(*testing.T, *Log){
		"tombstone stays until its horizon, then goes":                  testTombstone,
		"aborted data goes, its marker stays a horizon longer, hard-33": testAbortedData,
		"last header of a live producer stays":                          testLastHeader,
		"nothing at or above the last stable offset": func(t *testing.T, l *Log) {
			put(t, l, keyed(record.BuilderOptions{ProducerID: 5, Transactional: true}, compactionTime.UnixMilli(), "a=1"))
			sealAll(t, l)
			if r := mustCompact(t, l, compactionTime); r.Ran {
				t.Errorf("compacted up to %d above the open transaction at 0", r.UpTo)
			}
		},
		"min.compaction.lag, the ratio and the policy hold it back": func(t *testing.T, l *Log) {
			for _, cfg := range []Config{
				{SegmentBytes: 2000, CleanupCompact: true, MinCleanableRatio: -1, MinCompactionLag: time.Hour},
				{SegmentBytes: 2000, CleanupCompact: false},
			} {
				l.SetConfig(cfg)
				sealAll(t, l)
				if r := mustCompact(t, l, compactionTime); r.Ran {
					t.Errorf("%+v: compacted up to %d", cfg, r.UpTo)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) { test(t, mustOpen(t, newDisk(), compactConfig)) })
	}
}

func testTombstone(t *testing.T, l *Log) {
	now := compactionTime
	put(t, l, keyed(record.NoProducer(), now.UnixMilli(), "a=1"))
	put(t, l, keyed(record.NoProducer(), now.UnixMilli(), "a"))
	sealAll(t, l)
	mustCompact(t, l, now)
	first := batchesOf(t, l)[0]
	if first.BaseOffset() != 1 || !first.HasDeleteHorizon() || first.DeleteHorizon() != now.Add(time.Hour).UnixMilli() {
		t.Fatalf("first batch is at %d with horizon %d", first.BaseOffset(), first.DeleteHorizon())
	}
	sealAll(t, l)
	mustCompact(t, l, now.Add(59*time.Minute))
	if got := baseOffsets(t, l); got[0] != 1 {
		t.Fatalf("before the horizon: %d", got)
	}
	sealAll(t, l)
	mustCompact(t, l, now.Add(61*time.Minute))
	if got := baseOffsets(t, l); got[0] == 1 {
		t.Fatalf("after the horizon: %d", got)
	}
}

func testAbortedData(t *testing.T, l *Log) {
	now := compactionTime
	put(t, l, keyed(record.BuilderOptions{ProducerID: 5, Transactional: true}, now.UnixMilli(), "a=1"))
	put(t, l, marker(5, 0, false, 1))
	put(t, l, keyed(record.BuilderOptions{ProducerID: 5, BaseSequence: 1, Transactional: true}, now.UnixMilli(), "b=1"))
	put(t, l, marker(5, 0, true, 1))
	sealAll(t, l)
	mustCompact(t, l, now) // data 0 goes; the marker ended a transaction with data in this round
	if got := baseOffsets(t, l); !slices.Equal(got[:3], []int64{1, 2, 3}) {
		t.Fatalf("first round: %d", got)
	}
	sealAll(t, l)
	mustCompact(t, l, now) // no data is left: the marker gets a horizon
	if b := batchesOf(t, l)[0]; b.BaseOffset() != 1 || !b.HasDeleteHorizon() {
		t.Fatalf("second round: batch at %d, horizon %v", b.BaseOffset(), b.HasDeleteHorizon())
	}
	sealAll(t, l)
	mustCompact(t, l, now.Add(2*time.Hour))
	if got := baseOffsets(t, l); !slices.Equal(got[:2], []int64{2, 3}) {
		t.Fatalf("third round: %d", got)
	}
}

func testLastHeader(t *testing.T, l *Log) {
	b := keyed(record.BuilderOptions{ProducerID: 5, BaseSequence: 3}, compactionTime.UnixMilli(), "a=1")
	put(t, l, slices.Clone(b))
	put(t, l, keyed(record.NoProducer(), compactionTime.UnixMilli(), "a=2"))
	sealAll(t, l)
	mustCompact(t, l, compactionTime)
	if first := batchesOf(t, l)[0]; first.BaseOffset() != 0 || first.Count() != 0 || first.ProducerID() != 5 {
		t.Fatalf("first batch is at %d with %d records", first.BaseOffset(), first.Count())
	}
	if v, err := l.CheckBatch(b, ProduceInfo{}); err != nil || !v.Duplicate {
		t.Errorf("resent batch: %+v, %v; want a duplicate", v, err)
	}
}

func TestRowsBelowTheBoundaryAreGone(t *testing.T) {
	w, l := newKeyedWorkload(1), mustOpen(t, newDisk(), compactConfig)
	putKind(t, l, 1, KindConfiguration, []byte("one voter"))
	w.write(t, l, 100)
	mustCompact(t, l, w.now)
	b := l.Boundary()
	if b.Index == 0 || string(b.Configuration) != "one voter" || b.ConfigurationIndex != 1 || l.FirstIndex() != b.Index+1 {
		t.Fatalf("boundary %+v, first index %d", b, l.FirstIndex())
	}
	if _, err := l.Row(b.Index); !errors.Is(err, ErrNotFound) {
		t.Errorf("row at the boundary: %v", err)
	}
	if row, err := l.Row(b.Index + 1); err != nil || row.BaseOffset != b.NextOffset {
		t.Errorf("first row: %+v, %v", row, err)
	}
	if err := l.TruncateSuffix(b.Index); !errors.Is(err, ErrNotFound) {
		t.Errorf("truncate at the boundary: %v", err)
	}
}

func TestCrashDuringCompaction(t *testing.T) {
	for _, mode := range []vfs.CrashMode{vfs.Killed, vfs.Lost, vfs.Partly} {
		for n := 0; ; n++ {
			w, fs := newKeyedWorkload(7), newDisk()
			l, err := Open(filepath.FromSlash(testDir), compactConfig, Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			w.write(t, l, 60)
			mustCompact(t, l, w.now)
			w.write(t, l, 60)
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
			l.tasks.Wait()
			want := committedView(t, l)
			fs.CrashAfter(n, uint64(n))
			_, stopped := l.Compact(context.Background(), everything(l, w.now))
			_ = l.Close() // of a dead machine
			fs.Crash(mode, uint64(n))
			l = mustOpen(t, fs, compactConfig)
			if diff := cmp.Diff(want, committedView(t, l)); diff != "" {
				t.Fatalf("mode %d, crash at change %d (-want +got):\n%s", mode, n, diff)
			}
			if stopped == nil {
				break
			}
		}
	}
}

// TestReadersOutliveCompaction reads on while segments are replaced and deleted.
func TestReadersOutliveCompaction(t *testing.T) {
	w, l := newKeyedWorkload(3), openOn(t, t.TempDir(), vfs.OS, compactConfig)
	w.write(t, l, 50)
	stop, done := make(chan struct{}), make(chan error, 4)
	for range cap(done) {
		go func() {
			var buf []byte
			for from := int64(0); ; {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				b, err := l.Read(buf[:0], from, l.EndOffset(), 4000, true)
				switch {
				case errors.Is(err, ErrOutOfRange) || err == nil && len(b) == 0:
					from = l.StartOffset()
					continue
				case err != nil:
					done <- err
					return
				}
				buf = b
				for len(b) > 0 {
					batch := record.Batch(b)[:record.Batch(b).Size()]
					if batch.CRC() != batch.Checksum() {
						done <- fmt.Errorf("checksum of the batch at %d is wrong", batch.BaseOffset())
						return
					}
					from, b = batch.NextOffset(), b[len(batch):]
				}
			}
		}()
	}
	for round := range 8 {
		w.write(t, l, 30)
		mustCompact(t, l, w.now)
		if round%4 == 3 {
			if err := l.ApplyStart(l.EndOffset()/2, l.EndOffset(), l.LastIndex()); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestMarkersAreJudgedAfterCompaction(t *testing.T) {
	w, l := newKeyedWorkload(9), mustOpen(t, newDisk(), compactConfig)
	w.write(t, l, 200)
	mustCompact(t, l, w.now)
	for _, pid := range slices.Sorted(maps.Keys(w.seq)) {
		_, err := l.CheckMarker(Marker{ProducerID: pid, Epoch: -1, CoordinatorEpoch: 1})
		if !errors.Is(err, kerr.InvalidProducerEpoch) {
			t.Errorf("producer %d: marker of an older epoch: %v", pid, err)
		}
	}
}
