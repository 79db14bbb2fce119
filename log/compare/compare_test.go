package compare_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/compare"
	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

const folder = "00000000000000000000000000000001-0"

var compacting = log.Config{SegmentBytes: 400, CleanupCompact: true, MinCleanableRatio: -1, DeleteRetention: time.Nanosecond}

func open(t *testing.T) *log.Log {
	t.Helper()
	l, err := log.Open(folder, compacting, log.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// append stores a batch in a term, as its leader does.
func appendBatch(t *testing.T, l *log.Log, term uint64, b record.Batch) {
	t.Helper()
	if err := l.Append([]log.Entry{{Index: l.LastIndex() + 1, Term: term, Kind: log.KindBatch, Data: b, LeaderAppend: true}}); err != nil {
		t.Fatal(err)
	}
}

// one is a batch of one record; value "" is a tombstone.
func one(options record.BuilderOptions, key, value string) record.Batch {
	b := record.NewBuilder(options)
	r := record.Record{Timestamp: 1000, Key: []byte(key), Value: []byte(value)}
	if value == "" {
		r.Value = nil
	}
	b.Append(r)
	return b.Build()
}

func plain(key, value string) record.Batch { return one(record.NoProducer(), key, value) }

// fill writes keys again and again: plainly, in transactions that are committed
// and in some that are aborted, and tombstones.
func fill(t *testing.T, l *log.Log, n int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		key, value := fmt.Sprint("key ", random.IntN(7)), fmt.Sprint("value ", i)
		switch random.IntN(5) {
		case 0:
			value = ""
			fallthrough
		case 1, 2:
			appendBatch(t, l, 1, plain(key, value))
		default:
			id := int64(i)
			appendBatch(t, l, 1, one(record.BuilderOptions{ProducerID: id, Transactional: true}, key, value))
			appendBatch(t, l, 1, record.NewMarker(id, 0, record.Control{Commit: random.IntN(2) == 0}, 1000))
		}
	}
}

// follow brings a log to the end of another, entry by entry.
func follow(t *testing.T, from, to *log.Log) {
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
		if err := to.Append([]log.Entry{{Index: row.Index, Term: row.Term, Kind: row.Kind, Data: payload}}); err != nil {
			t.Fatal(err)
		}
	}
}

func compact(t *testing.T, l *log.Log, followers ...*log.Log) {
	t.Helper()
	for range 2 { // the second time drops tombstones that the first has given a horizon
		limits := log.CompactLimits{HighWatermark: l.EndOffset(), LastStableOffset: l.LastStableOffset(l.EndOffset()), Applied: l.LastIndex(), Now: time.Now()}
		if result, err := l.Compact(t.Context(), limits); err != nil {
			t.Fatalf("%+v, %v", result, err)
		}
		appendBatch(t, l, 1, plain("filler", strings.Repeat("x", 300)))
		appendBatch(t, l, 1, plain("filler", strings.Repeat("x", 300)))
		for _, f := range followers {
			follow(t, l, f)
		}
	}
}

// install gives a log the snapshot of another, as a follower behind its
// boundary is given it.
func install(t *testing.T, from, to *log.Log, bend func(*log.Snapshot)) {
	t.Helper()
	s, err := from.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if bend != nil {
		bend(&s)
	}
	if err := to.Stage(t.Context(), s, func(_ context.Context, p log.Piece) ([]byte, error) { return from.ReadPiece(p) }); err != nil {
		t.Fatal(err)
	}
	if err := to.ResetTo(s); err != nil {
		t.Fatal(err)
	}
	follow(t, from, to)
}

func replicas(logs ...*log.Log) (all []compare.Replica) {
	for i, l := range logs {
		all = append(all, compare.Replica{Name: fmt.Sprint("node ", i+1), Log: l})
	}
	return all
}

// Replicas that followed each other are equal: one as it was written, one that
// was compacted, one that was given the compacted log.
func TestEqualReplicas(t *testing.T) {
	raw, cleaned, installed := open(t), open(t), open(t)
	fill(t, raw, 100)
	follow(t, raw, cleaned)
	compact(t, cleaned, raw)
	install(t, cleaned, installed, nil)
	r := compare.Replicas(replicas(raw, cleaned, installed))
	for _, d := range r.Differences {
		t.Error(d)
	}
	if !r.Settled || r.Common != raw.EndOffset() || r.Entries == 0 || r.Bytes == 0 || r.Records == 0 || len(r.Positions) != 3 {
		t.Errorf("%+v, want all compared up to %d", r, raw.EndOffset())
	}
	if r.Positions[1].Boundary == 0 || r.Positions[1].Boundary != r.Positions[2].Boundary || r.Positions[0].Boundary != 0 {
		t.Errorf("boundaries %+v: the test compares no clean prefix", r.Positions)
	}
}

// A replica that is behind, or that holds what no other has, differs in nothing.
func TestUnsettledReplicasAreNoDifference(t *testing.T) {
	newest, behind, deposed := open(t), open(t), open(t)
	fill(t, newest, 20)
	follow(t, newest, behind)
	follow(t, newest, deposed)
	common := newest.EndOffset()
	appendBatch(t, deposed, 1, plain("key", "never committed"))
	appendBatch(t, newest, 2, plain("key", "of the next leader"))
	r := compare.Replicas(replicas(newest, behind, deposed))
	if len(r.Differences) > 0 || r.Settled || r.Common != common {
		t.Errorf("%+v, want no difference, not settled, %d in common", r, common)
	}
}

// Each kind of difference is found, and told in words.
func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		name, kind, detail string
		make               func(t *testing.T, a, b *log.Log)
	}{
		{"another value", "entry", "checksum is ", func(t *testing.T, a, b *log.Log) {
			appendBatch(t, a, 1, plain("key", "one"))
			appendBatch(t, b, 1, plain("key", "two"))
		}},
		{"another producer", "entry", "producer id is 8 and 7", func(t *testing.T, a, b *log.Log) {
			appendBatch(t, a, 1, one(record.BuilderOptions{ProducerID: 7}, "key", "one"))
			appendBatch(t, b, 1, one(record.BuilderOptions{ProducerID: 8}, "key", "one"))
		}},
		{"a marker that says another thing", "entry", "commit is false and true", func(t *testing.T, a, b *log.Log) {
			appendBatch(t, a, 1, record.NewMarker(7, 0, record.Control{Commit: true}, 1000))
			appendBatch(t, b, 1, record.NewMarker(7, 0, record.Control{Commit: false}, 1000))
		}},
		{"an older entry of another term", "entry", "term is 2 and 1", func(t *testing.T, a, b *log.Log) {
			appendBatch(t, a, 1, plain("key", "one"))
			appendBatch(t, b, 2, plain("key", "one"))
			appendBatch(t, a, 3, plain("key", "same"))
			appendBatch(t, b, 3, plain("key", "same"))
		}},
		{"a record of the clean prefix", "record", "two records: a record at ", func(t *testing.T, a, b *log.Log) {
			appendBatch(t, a, 1, plain("once", "one"))
			appendBatch(t, b, 1, plain("once", "two"))
			compactBoth(t, a, b)
		}},
		{"the newest of a key is gone", "newest", "none and a record at 8", func(t *testing.T, a, b *log.Log) {
			appendBatch(t, a, 1, plain("once", "one"))
			appendBatch(t, b, 1, plain("again", "one"))
			appendBatch(t, a, 1, plain("again", "two"))
			appendBatch(t, b, 1, plain("again", "two"))
			compactBoth(t, a, b)
		}},
		{"a leader epoch begins elsewhere", "epoch", "leader epochs begin at ", func(t *testing.T, a, b *log.Log) {
			appendBatch(t, a, 3, plain("filler", strings.Repeat("x", 300)))
			for range 4 {
				appendBatch(t, a, 3, plain("filler", strings.Repeat("x", 300)))
			}
			compactAt(t, a, 3)
			install(t, a, b, func(s *log.Snapshot) { s.Epochs[len(s.Epochs)-1].StartOffset++ })
		}},
		{"a producer's state", "producer", "producer 7 is ", func(t *testing.T, a, b *log.Log) {
			appendBatch(t, a, 1, one(record.BuilderOptions{ProducerID: 7}, "key", "one"))
			s := snapshotOf(t, a)
			appendBatch(t, a, 1, one(record.BuilderOptions{ProducerID: 7, BaseSequence: 1}, "key", "two"))
			for range 4 {
				appendBatch(t, a, 1, plain("filler", strings.Repeat("x", 300)))
			}
			compactAt(t, a, 1)
			install(t, a, b, func(bent *log.Snapshot) { bent.Producers = s })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t), open(t)
			fill(t, a, 5)
			follow(t, a, b)
			c.make(t, a, b)
			r := compare.Replicas(replicas(a, b))
			if len(r.Differences) == 0 {
				t.Fatalf("no difference: %+v", r)
			}
			if d := r.Differences[0]; d.Kind != c.kind || !strings.Contains(d.Detail, c.detail) {
				t.Errorf("%v, want %s: %s", d, c.kind, c.detail)
			}
		})
	}
}

// compactBoth compacts two logs that have the same filler behind them.
func compactBoth(t *testing.T, a, b *log.Log) {
	t.Helper()
	compact(t, a)
	compact(t, b)
}

// compactAt compacts a log whose newest entries are of a term.
func compactAt(t *testing.T, l *log.Log, term uint64) {
	t.Helper()
	limits := log.CompactLimits{HighWatermark: l.EndOffset(), LastStableOffset: l.EndOffset(), Applied: l.LastIndex(), Now: time.Now()}
	if _, err := l.Compact(t.Context(), limits); err != nil {
		t.Fatal(err)
	}
	if l.Boundary().Index == 0 {
		t.Fatal("nothing was compacted")
	}
	appendBatch(t, l, term, plain("behind", "it"))
}

// snapshotOf is the producer state of a log at its end.
func snapshotOf(t *testing.T, l *log.Log) []byte {
	t.Helper()
	twin := open(t)
	follow(t, l, twin)
	for range 4 {
		appendBatch(t, twin, 1, plain("filler", strings.Repeat("x", 300)))
	}
	compactAt(t, twin, 1)
	s, err := twin.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s.Producers
}

// An older program stored the members of a group in more bytes than a row holds.
func TestMembersOfAnOlderProgramAreEqual(t *testing.T) {
	for _, c := range []struct {
		name    string
		members [2]string
		want    int // differences
	}{
		{"both new", [2]string{"\x01\x04", "\x01\x04"}, 0},
		{"one older", [2]string{"\x01\x04", strings.Repeat("older", 7)}, 0},
		{"both older", [2]string{strings.Repeat("older", 7), strings.Repeat("older", 7)}, 0},
		{"others", [2]string{"\x01\x04", "\x01\x08"}, 1},
		{"others, both older", [2]string{strings.Repeat("older", 7), strings.Repeat("other", 7)}, 1},
	} {
		var replicas []compare.Replica
		for i, members := range c.members {
			l := open(t)
			if err := l.Append([]log.Entry{{Index: 1, Term: 1, Kind: log.KindConfiguration, Data: []byte(members)}}); err != nil {
				t.Fatal(err)
			}
			appendBatch(t, l, 1, plain("a", "1"))
			replicas = append(replicas, compare.Replica{Name: fmt.Sprint(i), Log: l})
		}
		if r := compare.Replicas(replicas); len(r.Differences) != c.want || !r.Settled {
			t.Errorf("%s: %v, want %d differences", c.name, r.Differences, c.want)
		}
	}
}
