package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication"
)

// allocations is the average of one call, those of other goroutines included.
func allocations(t *testing.T, do func()) float64 {
	t.Helper()
	if raceDetector {
		t.Skip("the race detector allocates on its own")
	}
	for range 100 {
		do() // pools are filled, lists have their room
	}
	return testing.AllocsPerRun(500, do)
}

// TestProduceAllocates bounds what a Produce costs beyond the append itself, which
// is raft's for the most part, and both together.
func TestProduceAllocates(t *testing.T) {
	b := onDisk(t)
	p := newProducer(t, b, record.NoProducer(), 1<<10, nil)
	whole := allocations(t, func() { p.produce(t) })
	p.check(t)
	batch := batchOf(record.NoProducer(), string(make([]byte, 1<<10)))
	partition := withTopic(t, b, "t", 1).partitions[0]
	alone := allocations(t, func() {
		if _, err := partition.Append(t.Context(), replication.Append{Batch: batch, Acks: -1}); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%.0f allocations, %.0f of them in the append", whole, alone)
	if own := whole - alone; own > 4 {
		t.Errorf("a Produce allocates %.0f times beside its append, want 4 at most", own)
	}
	if whole > 36 {
		t.Errorf("a Produce allocates %.0f times, want 36 at most", whole)
	}
}

// TestFetchAllocates: in a session, a Fetch that names nothing allocates only its
// context, and one that moves its partition on also kmsg's list of partitions.
func TestFetchAllocates(t *testing.T) {
	for _, isolation := range []int8{0, readCommitted} {
		f := newFetcher(t, onDisk(t), 64, 16<<10, isolation)
		if got := allocations(t, func() { f.fetch(t) }); got > 2 {
			t.Errorf("isolation %d: a Fetch of a named partition allocates %.0f times, want 2 at most", isolation, got)
		}
		f.check(t, 1000<<10)
		r := kmsg.NewPtrFetchRequest()
		r.Version, r.MaxBytes, r.MinBytes, r.IsolationLevel, r.SessionID = fetchVersion, 1<<20, 1, isolation, f.session
		f.frame = frameOf(r)
		if got := allocations(t, func() { f.fetch(t) }); got > 1 {
			t.Errorf("isolation %d: a Fetch that names nothing allocates %.0f times, want 1", isolation, got)
		}
		f.check(t, 1000<<10)
	}
}
