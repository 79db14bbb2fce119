package log

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
)

// TestHard09ProducerExpiry: age counts from the append here, not from the
// records' time; a restart counts from the load; an open transaction stays.
func TestHard09ProducerExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, cfg := newDisk(), Config{ProducerExpiration: time.Hour}
		l := mustOpen(t, fs, cfg)
		put(t, l, data(1, 0, 0, 1, 10, false)) // its records are of 1970
		put(t, l, data(2, 0, 0, 1, 10, true))
		expire := func(after time.Duration, want ...int64) {
			t.Helper()
			time.Sleep(after)
			l.ExpireProducers(time.Now())
			var got []int64
			for _, p := range l.Producers() {
				got = append(got, p.ProducerID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("producers %v, want %v", got, want)
			}
		}
		expire(59*time.Minute, 1, 2)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = mustOpen(t, fs, cfg)
		expire(59*time.Minute, 1, 2)
		expire(2*time.Minute, 2)
		put(t, l, marker(2, 0, true, 1))
		expire(59*time.Minute, 2)
		expire(2 * time.Minute)
	})
}

// Transactions that ended long ago cost nothing: neither memory nor time at
// each move of the high watermark.
func TestEndedTransactionsAreForgotten(t *testing.T) {
	s := newProducers()
	offset := int64(0)
	for range 10 * keepCompleted {
		s.apply(Row{Kind: KindBatch, ProducerID: 1, BaseSequence: -1, BaseOffset: offset, Count: 1, Attributes: transactionalBit}, time.Time{})
		s.apply(Row{Kind: KindBatch, ProducerID: 1, BaseSequence: -1, BaseOffset: offset + 1, Count: 1, Attributes: transactionalBit | controlBit}, time.Time{})
		if got := s.lastStableOffset(offset + 1); got != offset {
			t.Fatalf("marker at the high watermark: last stable offset %d, want %d", got, offset)
		}
		offset += 2
		if got := s.lastStableOffset(offset); got != offset {
			t.Fatalf("last stable offset %d, want %d", got, offset)
		}
	}
	if n := len(s.completed); n > 2*keepCompleted {
		t.Errorf("%d ended transactions are remembered", n)
	}
}

// TestHard30LeaderEpochs: an epoch begins at the log end when its first entry of
// any kind was stored, is cut with what is truncated, trimmed at the log start
// and there after a restart.
func TestHard30LeaderEpochs(t *testing.T) {
	fs := newDisk()
	l := mustOpen(t, fs, Config{})
	putKind(t, l, 2, KindNoop, nil)
	put(t, l, plain(3, 10)) // 0-2
	putKind(t, l, 4, KindNoop, nil)
	putKind(t, l, 5, KindNoop, nil)
	put(t, l, plain(2, 10)) // 3-4
	putKind(t, l, 7, KindNoop, nil)
	ends := func(want ...EpochStart) { // by asked epoch, from 0
		t.Helper()
		for asked, w := range want {
			if epoch, end := l.EpochEnd(int32(asked)); (EpochStart{epoch, end}) != w {
				t.Errorf("epoch %d ends %d at %d, want %d at %d", asked, epoch, end, w.Epoch, w.StartOffset)
			}
		}
	}
	ends(EpochStart{0, 0}, EpochStart{1, 0}, EpochStart{2, 3}, EpochStart{2, 3}, EpochStart{4, 3}, EpochStart{5, 5}, EpochStart{5, 5}, EpochStart{7, 5}, EpochStart{-1, -1})
	if err := l.TruncateSuffix(l.LastIndex()); err != nil {
		t.Fatal(err)
	}
	after := []EpochStart{{0, 0}, {1, 0}, {2, 3}, {2, 3}, {4, 3}, {5, 5}, {-1, -1}}
	ends(after...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, fs, Config{})
	ends(after...)
	if err := l.ApplyStart(4, 5, l.LastIndex()); err != nil {
		t.Fatal(err)
	}
	if got := l.EpochFor(4); got != 5 {
		t.Errorf("offset 4 is of epoch %d, want 5", got)
	}
	if epoch, end := l.EpochEnd(3); epoch != 3 || end != 4 {
		t.Errorf("epoch 3, below the log start, ends %d at %d, want 3 at 4", epoch, end)
	}
}

// TestHard33LogStart: an agreed log start only rises, takes whole segments with
// it, moves the boundary to a segment edge, and lasts.
func TestHard33LogStart(t *testing.T) {
	fs, cfg := newDisk(), Config{SegmentBytes: 300}
	l := mustOpen(t, fs, cfg)
	putKind(t, l, 1, KindConfiguration, []byte("voters"))
	for i := range 8 {
		put(t, l, data(7, 0, int32(i), 1, 60, false))
	}
	before := l.Segments()
	if len(before) < 3 {
		t.Fatalf("%d segments, want several", len(before))
	}
	cut := before[1].NextOffset - 1 // the last offset of the second segment
	for _, c := range []struct{ asked, hw, want int64 }{
		{cut, 8, cut},
		{cut - 1, 8, cut}, // never falls
		{8, cut, cut},     // never passes the high watermark
		{cut + 1, 8, cut + 1},
	} {
		if err := l.ApplyStart(c.asked, c.hw, l.LastIndex()); err != nil {
			t.Fatal(err)
		}
		if got := l.StartOffset(); got != c.want {
			t.Errorf("log start %d after %d at high watermark %d, want %d", got, c.asked, c.hw, c.want)
		}
	}
	check := func() {
		t.Helper()
		b, segments := l.Boundary(), l.Segments()
		if b.NextOffset != before[2].BaseOffset || b.Index+1 != before[2].FirstIndex || string(b.Configuration) != "voters" {
			t.Errorf("boundary %+v, want the edge at offset %d", b, before[2].BaseOffset)
		}
		if l.FirstIndex() != b.Index+1 || segments[0].BaseOffset != b.NextOffset {
			t.Errorf("first index %d and offset %d behind boundary %+v", l.FirstIndex(), segments[0].BaseOffset, b)
		}
		if _, err := l.Row(b.Index); !errors.Is(err, ErrNotFound) {
			t.Errorf("row at the boundary: %v", err)
		}
		if _, err := l.Read(nil, cut, 8, 1000, true); !errors.Is(err, ErrOutOfRange) {
			t.Errorf("read below the log start: %v", err)
		}
		snapshot, err := l.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		p, err := decodeProducers(snapshot.Producers, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		then := p.get(7)
		if got, want := then.lastSequence(), int32(b.NextOffset-1); got != want {
			t.Errorf("the snapshot's producer is at sequence %d, want %d, that of the boundary", got, want)
		}
	}
	check()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, fs, cfg)
	check()
	if got := l.StartOffset(); got != cut+1 {
		t.Errorf("log start %d after a restart, want %d", got, cut+1)
	}
	// Retention does not take producers along.
	if verdict, err := l.CheckBatch(data(7, 0, 7, 1, 60, false), ProduceInfo{}); err != nil || !verdict.Duplicate {
		t.Errorf("resend of a batch: %+v, %v", verdict, err)
	}
	if err := l.ApplyStart(8, 8, l.LastIndex()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.CheckBatch(data(7, 0, 9, 1, 60, false), ProduceInfo{}); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
		t.Errorf("gap in a log without records: %v", err)
	}
}

// TestHard35LookupsInTheCleanPrefix: behind a compaction there are no rows; what
// is asked by time or by epoch is found in the rewritten segments and the
// epochs' own checkpoint, a restart later too.
func TestHard35LookupsInTheCleanPrefix(t *testing.T) {
	l := mustOpen(t, newDisk(), compactConfig)
	for term := range uint64(3) {
		putKind(t, l, 2*term+2, KindNoop, nil)
		for i := range int64(60) {
			at := int64(1_700_000_000_000) + int64(term)*60_000 + i*1000
			put(t, l, keyed(record.NoProducer(), at, fmt.Sprintf("key%d=%d", i%7, i), fmt.Sprintf("only%d=%d", l.EndOffset(), i)))
		}
	}
	if result := mustCompact(t, l, time.UnixMilli(1_700_001_000_000)); result.UpTo < 300 || l.Boundary().NextOffset != result.UpTo {
		t.Fatalf("compacted up to %d of %d", result.UpTo, l.EndOffset())
	}
	check := func(l *Log) {
		t.Helper()
		var records []record.Record
		for _, b := range batchesOf(t, l) {
			for r, err := range b.Records(nil) {
				if err != nil {
					t.Fatal(err)
				}
				records = append(records, r)
			}
		}
		for i, r := range records {
			if i > 0 && r.Timestamp == records[i-1].Timestamp {
				continue
			}
			offset, timestamp, epoch, ok, err := l.OffsetForTime(r.Timestamp, l.EndOffset())
			if err != nil || !ok || offset != r.Offset || timestamp != r.Timestamp || epoch != 2*int32(r.Offset/120)+2 {
				t.Fatalf("time %d: offset %d of %d, epoch %d, %v, %v, want offset %d", r.Timestamp, offset, timestamp, epoch, ok, err, r.Offset)
			}
			if got := l.EpochFor(r.Offset); got != epoch {
				t.Fatalf("offset %d is of epoch %d, want %d", r.Offset, got, epoch)
			}
		}
		for asked, want := range map[int32]int64{2: 120, 3: 120, 4: 240, 6: 360} {
			if _, end := l.EpochEnd(asked); end != want {
				t.Errorf("epoch %d ends at %d, want %d", asked, end, want)
			}
		}
	}
	check(l)
	check(reopened(t, l))
}

// Promise 24: bytes that changed on the disk after they were synced are
// reported and not served, whichever of those that the checksum covers.
func TestChangedBytesAreNotServed(t *testing.T) {
	fs := newDisk()
	l := mustOpen(t, fs, Config{SegmentBytes: 500})
	for i := range 12 {
		put(t, l, data(7, 0, int32(i), 1, 60, false))
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	want, err := l.Read(nil, 0, l.EndOffset(), 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	const covered = 21 // bytes of a batch from here on, its attributes, are in its checksum
	for _, s := range l.view.Load().all() {
		file, err := fs.OpenFile(s.files.log, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		first, err := l.Read(nil, s.base, s.next, 1, true)
		if err != nil {
			t.Fatal(err)
		}
		for at := covered; at < len(first); at++ {
			if _, err := file.WriteAt([]byte{first[at] ^ 4}, int64(at)); err != nil {
				t.Fatal(err)
			}
			if got, err := l.Read(nil, s.base, l.EndOffset(), 1<<20, true); !errors.Is(err, ErrCorrupt) || len(got) > 0 {
				t.Fatalf("byte %d of the batch at offset %d: %d bytes served, %v", at, s.base, len(got), err)
			}
			if _, err := file.WriteAt(first[at:at+1], int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := l.Read(nil, 0, l.EndOffset(), 1<<20, true); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(want))
	}
}
