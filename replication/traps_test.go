package replication

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log/vfs"
)

// T7: a leader whose disk refuses it has the best log and would win again and
// again. It goes offline instead, another leads within seconds, and it follows
// once the disk takes bytes again.
func TestT7LeaderWithABrokenDisk(t *testing.T) {
	for _, fault := range []error{vfs.ENOSPC, vfs.EIO} {
		t.Run(fault.Error(), func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				old := f.write(0)
				id := old.node.cfg.NodeID
				f.faults[id].SetRules(vfs.Rule{Op: vfs.OpWrite, Pattern: "*.log", Error: fault})
				began := time.Now()
				lead := f.write(0)
				if took := time.Since(began); lead == old || took > 3*time.Second {
					t.Errorf("node %d acked after %v, want another than %d within 3s", lead.node.cfg.NodeID, took, id)
				}
				for range 10 {
					f.write(0)
				}
				f.faults[id].SetRules()
				time.Sleep(30 * time.Second)
				if old.HighWatermark() != lead.HighWatermark() {
					t.Errorf("high watermark %d where the disk came back, %d on the leader", old.HighWatermark(), lead.HighWatermark())
				}
				wantEqual(t, old, lead)
			})
		})
	}
}

// T13: raft reads no further after the first answer of a pipeline that is no
// success, and its sender may be waiting for room at that moment. It must not be
// left waiting, or nothing is replicated to that follower any more.
func TestT13BadAnswerFreesTheSender(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer any
		err    error
	}{
		{"the log does not match", &raft.AppendEntriesResponse{Success: false}, nil},
		{"the connection ended", nil, errUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := openNode(t, vfs.NewMem())
				defer closeNode(t, n)
				var links slowLinks
				p := openOne(t, n, 0)
				tr := newTransport(p.id, Recovery{}, 1, &links, p.group.Load().store, n.throttle, func() {}, func(uint64) {})
				pipe, err := tr.AppendEntriesPipeline("2", "2")
				if err != nil {
					t.Fatal(err)
				}
				for range pipelineDepth {
					if _, err := pipe.AppendEntries(&raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{}); err != nil {
						t.Fatal(err)
					}
				}
				waits := make(chan error, 1)
				go func() {
					_, err := pipe.AppendEntries(&raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{})
					waits <- err
				}()
				synctest.Wait()
				links.answerWith(c.answer, c.err) // raft takes this one and then no more
				if err := <-waits; !errors.Is(err, errPipelineBroken) {
					t.Errorf("the sender that waited: %v, want %v", err, errPipelineBroken)
				}
				for range pipelineDepth - 1 {
					links.answerWith(&raft.AppendEntriesResponse{Success: true}, nil) // nobody reads it
				}
				if _, err := pipe.AppendEntries(&raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{}); !errors.Is(err, errPipelineBroken) {
					t.Errorf("the next: %v, want %v", err, errPipelineBroken)
				}
			})
		})
	}
}

// hard-34: what is agreed is the log, not where a replica cuts it into segments.
func TestHard34SegmentsAreCutAnywhere(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		for i, id := range c.members {
			config := c.spec.Log
			config.SegmentBytes = int32(1<<10) << i
			c.partition(id).SetConfig(config)
		}
		for range 200 {
			mustAppend(t, lead, Append{Batch: plainBatch(3), Acks: -1})
		}
		time.Sleep(5 * time.Second)
		if _, err := lead.DeleteRecords(t.Context(), 250); err != nil {
			t.Fatal(err)
		}
		c.stop(2)
		if err := c.start(2); err != nil {
			t.Fatal(err)
		}
		c.elect(3)
		mustAppend(t, c.partition(3), Append{Batch: plainBatch(1), Acks: -1})
		time.Sleep(5 * time.Second)
		bases := map[int64]bool{}
		for _, id := range c.members {
			p := c.partition(id)
			if p.StartOffset() != 250 || p.HighWatermark() != 601 {
				t.Errorf("node %d: log from %d, high watermark %d; want 250, 601", id, p.StartOffset(), p.HighWatermark())
			}
			wantEqual(t, p, c.partition(3))
			bases[p.Log().Boundary().NextOffset] = true
		}
		if len(bases) < 2 {
			t.Errorf("all replicas begin in a segment of base offset %v: their segments were to differ", bases)
		}
	})
}
