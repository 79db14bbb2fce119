package log

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
)

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
	if verdict, err := l.CheckBatch(one(0, 7), ProduceInfo{}); err != nil || !verdict.Duplicate {
		t.Errorf("resend of a batch: %+v, %v", verdict, err)
	}
	if err := l.ApplyStart(8, 8, l.LastIndex()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.CheckBatch(one(0, 9), ProduceInfo{}); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
		t.Errorf("gap in a log without records: %v", err)
	}
}

// Promises 1, 2 and 22: an entry goes behind the last one, in its term or a
// later one, and what consensus brings must fit byte by byte.
func TestEntriesContinueTheLog(t *testing.T) {
	stamped := func(offset int64, epoch int32) record.Batch {
		b := plain(1, 10)
		b.SetBaseOffset(offset)
		b.SetLeaderEpoch(epoch)
		return b
	}
	flipped := stamped(1, 5)
	flipped[len(flipped)-1] ^= 1
	for _, c := range []struct {
		name  string
		entry Entry
		want  error
	}{
		{"the next", Entry{Index: 3, Term: 5, Kind: KindBatch, Data: stamped(1, 5)}, nil},
		{"a later term", Entry{Index: 3, Term: 6, Kind: KindBatch, Data: stamped(1, 6)}, nil},
		{"an index again", Entry{Index: 2, Term: 5, Kind: KindBatch, Data: stamped(1, 5)}, ErrMismatch},
		{"an index left out", Entry{Index: 4, Term: 5, Kind: KindBatch, Data: stamped(1, 5)}, ErrMismatch},
		{"an earlier term", Entry{Index: 3, Term: 4, Kind: KindBatch, Data: stamped(1, 4)}, ErrMismatch},
		{"an offset again", Entry{Index: 3, Term: 5, Kind: KindBatch, Data: stamped(0, 5)}, ErrMismatch},
		{"an offset left out", Entry{Index: 3, Term: 5, Kind: KindBatch, Data: stamped(2, 5)}, ErrMismatch},
		{"the leader epoch of another term", Entry{Index: 3, Term: 5, Kind: KindBatch, Data: stamped(1, 4)}, ErrMismatch},
		{"a flipped bit", Entry{Index: 3, Term: 5, Kind: KindBatch, Data: flipped}, ErrCorrupt},
		{"half a batch", Entry{Index: 3, Term: 5, Kind: KindBatch, Data: stamped(1, 5)[:60]}, ErrMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := mustOpen(t, newDisk(), Config{})
			putKind(t, l, 5, KindNoop, nil)
			put(t, l, plain(1, 10))
			before := l.EndOffset()
			if err := l.Append([]Entry{c.entry}); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if c.want != nil && (l.EndOffset() != before || l.LastIndex() != 2) {
				t.Errorf("log end %d, last index %d: what was refused is stored", l.EndOffset(), l.LastIndex())
			}
		})
	}
}
