package log

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oncelog/oncelog/protocol/record"
)

// A segment with more keys than are held at a time is compacted in shares of
// them, and what is left is what one pass leaves.
func TestCompactionOfManyKeys(t *testing.T) {
	left := func(keys int) []byte {
		cfg := compactConfig
		cfg.SegmentBytes, cfg.CompactionKeys = 1<<20, keys
		l := mustOpen(t, newDisk(), cfg)
		for i := range 300 {
			put(t, l, keyed(record.NoProducer(), compactionTime.UnixMilli(), fmt.Sprintf("a%d=%d", i, i), fmt.Sprintf("b%d=%d", i%50, i), fmt.Sprintf("c%d", i%7)))
		}
		cfg.SegmentBytes = 1000
		l.SetConfig(cfg)
		sealAll(t, l)
		p, _ := l.plan(everything(l, compactionTime))
		s, err := l.findStale(t.Context(), &p)
		if err != nil {
			t.Fatal(err)
		}
		if inShares := s.marks != nil; inShares != (keys == 10) {
			t.Errorf("%d keys at a time: in shares %v", keys, inShares)
		}
		if result := mustCompact(t, l, compactionTime); !result.Ran || result.BytesAfter >= result.BytesBefore {
			t.Errorf("%d keys at a time: %+v", keys, result)
		}
		b, err := l.Read(nil, 0, 900, 1<<20, true)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if whole, shares := left(0), left(10); !bytes.Equal(whole, shares) {
		t.Errorf("in shares %d bytes are left, in one pass %d", len(shares), len(whole))
	}
}

// Segments of a dirty part that have too many keys together are compacted one
// after the other.
func TestCompactionEndsWhereKeysAreTooMany(t *testing.T) {
	cfg := compactConfig
	cfg.CompactionKeys = 100
	l := mustOpen(t, newDisk(), cfg)
	for i := range 400 {
		put(t, l, keyed(record.NoProducer(), compactionTime.UnixMilli(), fmt.Sprintf("key%d=value", i)))
	}
	rounds := 0
	for ; mustCompact(t, l, compactionTime).Ran; rounds++ {
		if v := l.view.Load(); len(v.clean) == 0 || rounds == 0 && len(v.sealed) == 0 {
			t.Fatalf("round %d: %d clean and %d sealed segments", rounds, len(v.clean), len(v.sealed))
		}
	}
	if rounds < 3 || len(l.view.Load().sealed) > 0 {
		t.Errorf("%d rounds, %d sealed segments left", rounds, len(l.view.Load().sealed))
	}
}

// As in Kafka: the first record of a segment is the one that waits longest, and
// a log that is wholly dirty is not more than wholly dirty.
func TestWhenCompactionIsDue(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		want bool
	}{
		{"dirty enough", Config{MinCleanableRatio: 0.99}, true},
		{"never dirty enough", Config{MinCleanableRatio: 1}, false},
		{"its first record waits too long", Config{MinCleanableRatio: 1, MaxCompactionLag: 50 * time.Minute}, true},
		{"none waits too long", Config{MinCleanableRatio: 1, MaxCompactionLag: 70 * time.Minute}, false},
		{"its last record is young", Config{MinCompactionLag: time.Minute}, false},
		{"its last record is old enough", Config{MinCompactionLag: 20 * time.Second}, true},
		{"another policy", Config{CleanupDelete: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.SegmentBytes, c.cfg.CleanupCompact = 1000, !c.cfg.CleanupDelete
			l := mustOpen(t, newDisk(), c.cfg)
			put(t, l, keyed(record.NoProducer(), compactionTime.Add(-time.Hour).UnixMilli(), "a=1"))
			put(t, l, keyed(record.NoProducer(), compactionTime.Add(-30*time.Second).UnixMilli(), "a=2"))
			put(t, l, keyed(record.NoProducer(), compactionTime.UnixMilli(), "filler="+string(make([]byte, 1500))))
			if got := mustCompact(t, l, compactionTime); got.Ran != c.want {
				t.Errorf("ran %v, want %v", got.Ran, c.want)
			}
		})
	}
}

// segment.ms rolls at an append only, by the records' own times, and
// segment.jitter.ms makes it earlier.
func TestSegmentsRollByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, jitter := range []time.Duration{0, 40 * time.Minute, 24 * time.Hour} {
			l := openOn(t, fmt.Sprintf("data/%d", jitter), newDisk(), Config{SegmentAge: time.Hour, SegmentJitter: jitter})
			for range 2000 {
				time.Sleep(time.Minute)
				put(t, l, stamped(time.Now().UnixMilli(), 10))
			}
			time.Sleep(24 * time.Hour)
			if got := l.view.Load().active.size; got == 0 {
				t.Error("an idle segment was rolled")
			}
			lengths := map[int64]int{}
			for _, s := range l.view.Load().sealed {
				lengths[s.next-s.base]++
			}
			for minutes := range lengths {
				least := int64(61 - min(jitter, time.Hour).Minutes())
				if minutes > 61 || minutes < least {
					t.Errorf("jitter %v: a segment of %d minutes", jitter, minutes)
				}
			}
			if several := len(lengths) > 5; several != (jitter > 0) {
				t.Errorf("jitter %v: lengths %v", jitter, lengths)
			}
		}
	})
}

// The largest timestamp is looked for from the log start on, wherever in a
// segment or a batch it lies.
func TestMaxTimestampBehindTheLogStart(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{SegmentBytes: 1000})
	putKind(t, l, 1, KindNoop, nil)
	b := record.NewBuilder(record.NoProducer())
	for _, ms := range []int64{900, 100, 800, 300} {
		b.Append(record.Record{Timestamp: ms, Value: []byte("v")})
	}
	put(t, l, b.Build())         // 0 to 3
	put(t, l, stamped(700, 130)) // 4
	put(t, l, stamped(200, 130))
	put(t, l, stamped(600, 130)) // 6
	put(t, l, stamped(500, 130))
	for range 3 {
		put(t, l, stamped(150, 900)) // a segment each
	}
	for _, c := range []struct{ start, offset, timestamp int64 }{
		{0, 0, 900}, {1, 2, 800}, {3, 4, 700}, {4, 4, 700}, {5, 6, 600}, {7, 7, 500}, {8, 8, 150}, {10, 10, 150},
	} {
		if err := l.ApplyStart(c.start, l.EndOffset(), 0); err != nil {
			t.Fatal(err)
		}
		offset, timestamp, _, ok, err := l.MaxTimestamp(l.EndOffset())
		if err != nil || !ok || offset != c.offset || timestamp != c.timestamp {
			t.Errorf("from %d: %d at %d, %v, %v; want %d at %d", c.start, timestamp, offset, ok, err, c.timestamp, c.offset)
		}
	}
	if err := l.ApplyStart(l.EndOffset(), l.EndOffset(), 0); err != nil {
		t.Fatal(err)
	}
	if offset, _, _, ok, err := l.MaxTimestamp(l.EndOffset()); ok || err != nil {
		t.Errorf("of an empty log: %d, %v", offset, err)
	}
}
