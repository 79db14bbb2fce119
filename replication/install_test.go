package replication

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
	mesh "github.com/oncelog/oncelog/replication/transport"
)

// counting counts what nodes say about installed boundaries.
func (f *lastLines) counting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.installs
}

// watched is a cluster whose log lines are kept.
func watched(t *testing.T, test func(t *testing.T, c *cluster, lead *Partition, said *lastLines)) {
	t.Helper()
	said := new(lastLines)
	inClusterWith(t, Config{Logger: said.logger()}, func(t *testing.T, c *cluster, lead *Partition) { test(t, c, lead, said) })
}

// fill appends so many batches of a producer, from a sequence on.
func fill(t *testing.T, p *Partition, first, n int32, acks int16) {
	t.Helper()
	for i := range n {
		mustAppend(t, p, Append{Batch: batchOf(5, 0, first+i, 1), Acks: acks})
	}
}

// wantSame fails unless a replica holds what the leader holds, soon.
func wantSame(t *testing.T, c *cluster, id int32, lead *Partition) {
	t.Helper()
	for range 120 {
		synctest.Wait() // what was just applied is said, and nothing more comes of it
		if p := c.partition(id); p.Log().LastIndex() == lead.Log().LastIndex() && p.HighWatermark() == lead.HighWatermark() && p.StartOffset() == lead.StartOffset() {
			break
		}
		time.Sleep(time.Second)
	}
	p := c.partition(id)
	if p.Log().LastIndex() != lead.Log().LastIndex() || p.HighWatermark() != lead.HighWatermark() || p.StartOffset() != lead.StartOffset() {
		t.Fatalf("node %d has index %d, high watermark %d, log start %d, want %d, %d, %d", id,
			p.Log().LastIndex(), p.HighWatermark(), p.StartOffset(), lead.Log().LastIndex(), lead.HighWatermark(), lead.StartOffset())
	}
	wantEqual(t, p, lead)
}

// wantEqual compares the bytes of two replicas above both boundaries, and what
// they know of producers and epochs (promise 23).
func wantEqual(t *testing.T, a, b *Partition) {
	t.Helper()
	from := max(a.Log().Boundary().NextOffset, b.Log().Boundary().NextOffset, a.StartOffset(), b.StartOffset())
	upTo := min(a.HighWatermark(), b.HighWatermark())
	one, err := a.Log().Read(nil, from, upTo, 1<<30, true)
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.Log().Read(nil, from, upTo, 1<<30, true)
	if err != nil {
		t.Fatal(err)
	}
	if string(one) != string(other) {
		t.Errorf("replicas differ from offset %d to %d: %d and %d bytes", from, upTo, len(one), len(other))
	}
	epoch, end := a.Log().EpochEnd(a.Log().LatestEpoch())
	if e, o := b.Log().EpochEnd(b.Log().LatestEpoch()); e != epoch || o != end {
		t.Errorf("epoch %d ends at %d on one replica, %d at %d on the other", epoch, end, e, o)
	}
	known, others := a.Log().Producers(), b.Log().Producers()
	if len(known) != len(others) {
		t.Fatalf("%d producers on one replica, %d on the other", len(known), len(others))
	}
	for i := range known {
		one, other := known[i], others[i]
		one.LastTimestamp, other.LastTimestamp = 0, 0
		if one != other {
			t.Errorf("producer %+v on one replica, %+v on the other", one, other)
		}
	}
}

// T5: a leader asks its log for the entry before the first one it has, to go on
// behind an installed boundary. Were it not found, it would install for ever.
func TestT5InstallHappensOnce(t *testing.T) {
	watched(t, func(t *testing.T, c *cluster, lead *Partition, said *lastLines) {
		fill(t, lead, 0, 5, -1)
		c.isolate(3)
		fill(t, lead, 5, 20, -1)
		if _, err := lead.DeleteRecords(t.Context(), -1); err != nil {
			t.Fatal(err)
		}
		fill(t, lead, 25, 3, -1)
		b := lead.Log().Boundary()
		var entry raft.Log
		if err := lead.group.Load().store.GetLog(b.Index, &entry); err != nil || entry.Index != b.Index || entry.Term != b.Term || entry.Type != raft.LogNoop {
			t.Errorf("entry at the boundary %+v: %+v, %v", b, entry, err)
		}
		c.heal()
		wantSame(t, c, 3, lead)
		fill(t, lead, 28, 3, -1)
		wantSame(t, c, 3, lead)
		if n := said.counting(); n != 1 {
			t.Errorf("%d installs, want 1", n)
		}
		// The follower leads with the producer's state of the boundary.
		c.elect(3)
		p := c.partition(3)
		fill(t, p, 31, 2, -1)
		if again := mustAppend(t, p, Append{Batch: batchOf(5, 0, 30, 1), Acks: -1}); !again.Duplicate {
			t.Errorf("resent batch %+v, want a duplicate", again)
		}
	})
}

// T6: raft does not forget entries that an installed snapshot replaced when they
// reached further than the snapshot does.
func TestT6DivergentLogIsLongerThanTheBoundary(t *testing.T) {
	watched(t, func(t *testing.T, c *cluster, old *Partition, said *lastLines) {
		fill(t, old, 0, 2, -1)
		c.isolate(1)
		fill(t, old, 2, 100, 1)
		c.elect(2)
		lead := c.partition(2)
		for range 10 {
			mustAppend(t, lead, Append{Batch: plainBatch(3), Acks: -1})
		}
		if _, err := lead.DeleteRecords(t.Context(), -1); err != nil {
			t.Fatal(err)
		}
		fill(t, lead, 2, 3, -1)
		if last, b := old.Log().LastIndex(), lead.Log().Boundary(); last <= b.Index {
			t.Fatalf("the old leader's log ends at %d, the boundary is %d: nothing to be seen", last, b.Index)
		}
		c.heal()
		wantSame(t, c, 1, lead)
		if n := said.counting(); n != 1 {
			t.Errorf("%d installs, want 1", n)
		}
		fill(t, lead, 5, 3, -1)
		wantSame(t, c, 1, lead)
		c.elect(1)
		fill(t, c.partition(1), 8, 3, -1)
	})
}

// hard-22: a snapshot that comes late wipes nothing that the follower holds and
// the leader may have counted.
func TestHard22LateSnapshotWipesNothing(t *testing.T) {
	watched(t, func(t *testing.T, c *cluster, lead *Partition, said *lastLines) {
		fill(t, lead, 0, 5, -1)
		if _, err := lead.DeleteRecords(t.Context(), -1); err != nil {
			t.Fatal(err)
		}
		snapshot, err := lead.Log().Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, c, 2, lead)
		fill(t, lead, 5, 10, -1)
		wantSame(t, c, 2, lead)
		wantSame(t, c, 3, lead)
		installs := said.counting()
		p := c.partition(2)
		g := p.group.Load()
		last, term := p.Log().LastIndex(), g.raft.CurrentTerm()
		held, err := p.Log().Row(last - 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []struct {
			name        string
			index, term uint64
			leader      uint64 // term
			want        bool
		}{
			{"at the boundary", snapshot.Boundary.Index, snapshot.Boundary.Term, term, true},
			{"below the boundary", snapshot.Boundary.Index - 1, 1, term, true},
			{"of an entry that is held", held.Index, held.Term, term, true},
			{"of an older term", held.Index, held.Term, term - 1, false},
		} {
			answer, err := g.transport.receive(installOf(snapshot, at.index, at.term, at.leader))(t.Context())
			got, ok := answer.(*raft.InstallSnapshotResponse)
			if err != nil || !ok || got.Success != at.want {
				t.Errorf("snapshot %s: %+v, %v, want success %v", at.name, answer, err, at.want)
			}
		}
		// One that overtakes an append meets raft, which must not take it either.
		for _, at := range []struct{ index, term uint64 }{{snapshot.Boundary.Index, snapshot.Boundary.Term}, {held.Index, held.Term}} {
			if _, err := g.snapshots.Create(raft.SnapshotVersionMax, at.index, at.term, raft.Configuration{}, 1, nil); !errors.Is(err, errHeld) {
				t.Errorf("create a snapshot of index %d, which is held: %v", at.index, err)
			}
		}
		// A leader of a newer term is heard first, and is told success when it asks again.
		install := installOf(snapshot, held.Index, held.Term, term+1)
		if answer, err := g.transport.receive(install)(t.Context()); err == nil {
			t.Errorf("snapshot of a newer term: %+v, want an error until the term is known", answer)
		}
		if answer, err := g.transport.receive(install)(t.Context()); err != nil || !answer.(*raft.InstallSnapshotResponse).Success {
			t.Errorf("the same again: %+v, %v, want success", answer, err)
		}
		if p.Log().LastIndex() < last || p.Log().Boundary().Index > held.Index || said.counting() != installs {
			t.Errorf("index %d, boundary at %d, %d installs more: want all that there was up to %d", p.Log().LastIndex(), p.Log().Boundary().Index, said.counting()-installs, last)
		}
	})
}

func installOf(s log.Snapshot, index, term, leaderTerm uint64) *mesh.Install {
	if travels, err := raftMembers(s.Boundary.Configuration); err == nil {
		s.Boundary.Configuration = travels
	}
	out := &mesh.Install{State: s.Encode()}
	out.RPCHeader = raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("1"), Addr: mesh.CandidateName(1)}
	out.SnapshotVersion, out.Term, out.LastLogIndex, out.LastLogTerm = raft.SnapshotVersionMax, leaderTerm, index, term
	out.Configuration, out.ConfigurationIndex, out.Size = s.Boundary.Configuration, s.Boundary.ConfigurationIndex, int64(len(out.State))
	return out
}

// The entry at the boundary is not there any more: who lacks just that one gets the
// boundary, not the noop by which raft is told of its term.
func TestEntryAtTheBoundaryIsNotSent(t *testing.T) {
	watched(t, func(t *testing.T, c *cluster, lead *Partition, said *lastLines) {
		fill(t, lead, 0, 5, -1)
		wantSame(t, c, 3, lead)
		c.isolate(3)
		if _, err := lead.DeleteRecords(t.Context(), -1); err != nil {
			t.Fatal(err)
		}
		if lacks, b := c.partition(3).Log().LastIndex()+1, lead.Log().Boundary().Index; lacks != b {
			t.Fatalf("node 3 lacks index %d, the boundary is at %d", lacks, b)
		}
		synctest.Wait() // what raft read of the entry before it was deleted is on its way, and is lost
		c.heal()
		wantSame(t, c, 3, lead)
		if n := said.counting(); n != 1 {
			t.Errorf("%d installs, want 1", n)
		}
		fill(t, lead, 5, 3, -1)
		wantSame(t, c, 3, lead)
	})
}

// A leader reads for a follower what the log start has just left behind: that is not
// there any more, and no disk error.
func TestEntryIsDeletedWhileItIsRead(t *testing.T) {
	watched(t, func(t *testing.T, c *cluster, lead *Partition, said *lastLines) {
		fill(t, lead, 0, 5, -1)
		if _, err := lead.DeleteRecords(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		s := lead.group.Load().store
		row, err := s.log.Row(lead.Log().LastIndex()) // the log start
		if err != nil || row.Kind != log.KindLogStart {
			t.Fatalf("last row %+v, %v", row, err)
		}
		fill(t, lead, 5, 20, -1)
		if _, err := lead.DeleteRecords(t.Context(), -1); err != nil {
			t.Fatal(err)
		}
		var out raft.Log
		if err := s.fill(row, &out); !errors.Is(err, log.ErrNotFound) {
			t.Errorf("entry %d that was deleted: %v, want %v", row.Index, err, log.ErrNotFound)
		}
		if err := s.GetLog(row.Index, &out); !errors.Is(err, raft.ErrLogNotFound) || s.failed.Load() {
			t.Errorf("entry %d: %v, the disk failed: %v", row.Index, err, s.failed.Load())
		}
	})
}

// A snapshot that is damaged, too large or another's changes nothing.
func TestSnapshotThatIsNone(t *testing.T) {
	watched(t, func(t *testing.T, c *cluster, lead *Partition, said *lastLines) {
		fill(t, lead, 0, 5, -1)
		if _, err := lead.DeleteRecords(t.Context(), -1); err != nil {
			t.Fatal(err)
		}
		snapshot, err := lead.Log().Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, c, 2, lead)
		installs := said.counting()
		p := c.partition(2)
		g := p.group.Load()
		damaged := installOf(snapshot, 1000, 9, g.raft.CurrentTerm())
		damaged.State[50] ^= 1
		large := installOf(snapshot, 1000, 9, g.raft.CurrentTerm())
		large.State = make([]byte, maxSnapshot+1)
		large.Size = int64(len(large.State))
		strange := installOf(snapshot, 1000, 9, g.raft.CurrentTerm())
		strange.Configuration = []byte{7}
		broken := snapshot
		broken.Boundary.Configuration = []byte{7}
		inside := installOf(broken, 1000, 9, g.raft.CurrentTerm())
		inside.Configuration = installOf(snapshot, 1000, 9, 1).Configuration
		for want, install := range map[string]*mesh.Install{
			"the leader that sends it is of term": installOf(snapshot, 1000, 9, g.raft.CurrentTerm()),
			"cannot be read":                      strange, "group cannot be read": inside,
			"checksum": damaged, "want at most": large, "its content is of index": installOf(snapshot, 1000, snapshot.Boundary.Term, g.raft.CurrentTerm()),
		} {
			before := p.Log().LastIndex()
			if _, err := g.transport.receive(install)(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("snapshot was answered with %v, want an error with %q", err, want)
			}
			if p.Log().LastIndex() < before || said.counting() != installs {
				t.Errorf("log ends at %d, want %d at least", p.Log().LastIndex(), before)
			}
		}
	})
}

// A node whose folder was emptied is given all partitions again, those that its
// leaders hold whole and those that begin behind a boundary.
func TestWipedNodeIsRebuilt(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, f *fleet) {
		for i := range f.specs {
			var lead *Partition
			for range 10 {
				lead = f.write(i)
			}
			if i%2 == 0 {
				if _, err := lead.DeleteRecords(t.Context(), int64(5+i)); err != nil {
					t.Fatal(err)
				}
			}
			if i%3 == 0 {
				if _, err := lead.DeleteRecords(t.Context(), -1); err != nil {
					t.Fatal(err)
				}
			}
			f.write(i)
		}
		for _, id := range []int32{2, 3, 1} {
			f.stop(id)
			f.disks[id] = vfs.NewMem()
			for i := range f.specs {
				f.write(i)
			}
			f.start(id)
			time.Sleep(15 * time.Second)
			for i, spec := range f.specs {
				lead := f.write(i)
				if lead.node.cfg.NodeID == id {
					t.Errorf("partition %d is led by the node that was emptied", i)
				}
				time.Sleep(3 * time.Second)
				p := f.nodes[id].Partition(spec.ID)
				if p.Log().LastIndex() != lead.Log().LastIndex() || p.HighWatermark() != lead.HighWatermark() || p.StartOffset() != lead.StartOffset() {
					t.Errorf("node %d, partition %d: index %d, high watermark %d, log start %d, want %d, %d, %d", id, i, p.Log().LastIndex(),
						p.HighWatermark(), p.StartOffset(), lead.Log().LastIndex(), lead.HighWatermark(), lead.StartOffset())
				}
				wantEqual(t, p, lead)
			}
		}
	})
}

// contentsOf is the newest value of each key that a replica shows, tombstones left out.
func contentsOf(t *testing.T, p *Partition) map[string]string {
	t.Helper()
	b, err := p.Log().Read(nil, p.StartOffset(), p.HighWatermark(), 1<<30, true)
	if err != nil {
		t.Fatal(err)
	}
	newest := map[string]string{}
	for len(b) > 0 {
		batch, err := record.Peek(b)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range batch.Records(nil) {
			if err != nil {
				t.Fatal(err)
			}
			delete(newest, string(r.Key))
			if r.Value != nil {
				newest[string(r.Key)] = string(r.Value)
			}
		}
		b = b[batch.Size():]
	}
	return newest
}

// A transfer of a compacted log that is cut off, whose leader is deposed or whose
// files are compacted away begins anew, and the log below is whole until it is done.
func TestInterruptedTransfer(t *testing.T) {
	watched(t, func(t *testing.T, c *cluster, lead *Partition, said *lastLines) {
		for _, id := range c.members {
			c.partition(id).SetConfig(log.Config{CleanupCompact: true, SegmentBytes: 1 << 10, MinCleanableRatio: -1})
		}
		write := func(p *Partition, n int) {
			for i := range n {
				mustAppend(t, p, Append{Batch: keyedBatch(i), Acks: -1})
			}
		}
		write(lead, 50)
		c.isolate(3)
		write(lead, 200)
		time.Sleep(2 * time.Minute)
		behind := c.partition(3)
		before := behind.EndOffset()
		c.delay.Store(300_000)
		for range 5 {
			c.heal()
			asked := lead.pulled.Load()
			for tries := 0; lead.pulled.Load() == asked; tries++ {
				if tries == 60_000 {
					t.Fatal("the follower asks for no piece within ten minutes")
				}
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(time.Second)
			c.isolate(3)
			time.Sleep(time.Second)
			write(lead, 20)
			time.Sleep(30 * time.Second) // and a compaction
		}
		if n := said.counting(); n != 0 || behind.EndOffset() != before {
			t.Errorf("%d installs, log end %d: nothing was cut off", n, behind.EndOffset())
		}
		c.heal()
		c.isolate(1)
		c.delay.Store(1000)
		c.elect(2)
		lead = c.partition(2)
		c.heal()
		write(lead, 20)
		wantSame(t, c, 3, lead)
		if got, want := contentsOf(t, c.partition(3)), contentsOf(t, lead); !maps.Equal(got, want) || len(got) != 17 {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

func keyedBatch(i int) record.Batch {
	b := record.NewBuilder(record.NoProducer())
	b.Append(record.Record{Timestamp: 1, Key: fmt.Append(nil, i%17), Value: fmt.Append(nil, "value ", i)})
	return b.Build()
}

// hard-33: a compacted log is installed with its files, on a follower that was
// away and on one whose disk is empty.
func TestHard33CompactedLogTravels(t *testing.T) {
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		for i := range f.specs {
			f.specs[i].Log = log.Config{CleanupCompact: true, SegmentBytes: 1 << 10, MinCleanableRatio: -1}
			for _, n := range f.nodes {
				n.Partition(f.specs[i].ID).SetConfig(f.specs[i].Log)
			}
		}
		written := 0
		write := func(i, n int) (lead *Partition) {
			for range n {
				written++
				lead = f.append(i, keyedBatch(written))
			}
			return lead
		}
		for round, empty := range []bool{false, true, true, true} {
			id, before := int32(round%3+1), f.said.counting()
			for i := range f.specs {
				write(i, 100)
			}
			f.stop(id)
			if empty {
				f.disks[id] = vfs.NewMem()
			}
			for i := range f.specs {
				write(i, 100)
			}
			time.Sleep(2 * time.Minute) // the leaders wait no longer for it, and compact
			f.start(id)
			time.Sleep(30 * time.Second)
			for i, spec := range f.specs {
				lead := write(i, 1)
				time.Sleep(3 * time.Second)
				p := f.nodes[id].Partition(spec.ID)
				if b := p.Log().Boundary(); p.Log().LastIndex() != lead.Log().LastIndex() || p.HighWatermark() != lead.HighWatermark() || b.Index == 0 {
					t.Fatalf("round %d, partition %d: index %d, high watermark %d, boundary %d, want %d, %d, above 0", round, i,
						p.Log().LastIndex(), p.HighWatermark(), b.Index, lead.Log().LastIndex(), lead.HighWatermark())
				}
				wantEqual(t, p, lead)
				if got, want := f.said.counting(), before+len(f.specs); empty && got < want {
					t.Errorf("round %d: %d installs, want %d at least", round, got, want)
				}
				if got, want := contentsOf(t, p), contentsOf(t, lead); !maps.Equal(got, want) || len(got) != 17 {
					t.Errorf("round %d, partition %d: %v, want %v", round, i, got, want)
				}
			}
		}
	})
}

// A snapshot that arrives while the term of its request cannot be stored changes
// nothing: the log would be of a newer term than the slot, and never open again.
func TestNothingIsInstalledOnAFailedDisk(t *testing.T) {
	watched(t, func(t *testing.T, c *cluster, lead *Partition, said *lastLines) {
		fill(t, lead, 0, 5, -1)
		if _, err := lead.DeleteRecords(t.Context(), -1); err != nil {
			t.Fatal(err)
		}
		snapshot, err := lead.Log().Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, c, 2, lead)
		g := c.partition(2).group.Load()
		before := g.log.LastIndex()
		snapshot.Boundary.Index, snapshot.Boundary.Term = before+1000, g.raft.CurrentTerm()+5
		g.store.failed.Store(true)
		g.snapshots.received.Store(&received{snapshot: snapshot})
		if err := (&machine{g: g}).Restore(io.NopCloser(strings.NewReader(""))); !errors.Is(err, errOffline) || g.log.LastIndex() != before {
			t.Errorf("%v, index %d; want %v, index %d", err, g.log.LastIndex(), errOffline, before)
		}
		g.store.failed.Store(false)
	})
}
