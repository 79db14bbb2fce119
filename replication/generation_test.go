package replication

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/vfs"
)

// renew has a node open its partition in another generation.
func (c *cluster) renew(t *testing.T, id int32, past Recovery) *Partition {
	t.Helper()
	c.mu.Lock()
	n := c.nodes[id]
	c.mu.Unlock()
	if err := n.ClosePartition(context.Background(), c.spec.ID); err != nil {
		t.Fatal(err)
	}
	spec := c.spec
	spec.Recovery = past
	p, err := n.OpenPartition(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// follow makes voters of nodes, which takes them as far as the leader.
func follow(t *testing.T, lead *Partition, nodes ...int32) {
	t.Helper()
	for _, id := range nodes {
		for _, step := range []func(context.Context, int32) error{lead.AddObserver, lead.AddVoter} {
			if err := step(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A minority goes on without the majority, in a leader epoch that is new. The
// majority comes back, elects a leader of its own, takes what nobody else gets,
// and is heard by nobody; told of the new generation it follows, and all are equal.
func TestHard23UncleanRecovery(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		for range 10 {
			mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1})
		}
		time.Sleep(5 * time.Second)
		c.setCut(1, 3, true)
		c.setCut(2, 3, true)
		mustAppend(t, lead, Append{Batch: plainBatch(7), Acks: -1}) // which 3 never gets
		c.stop(1)
		c.stop(2)
		c.heal()

		past := Recovery{Generation: 1, Survivor: 3, Term: uint64(lead.Leadership().Epoch) + 1000}
		alone := c.renew(t, 3, past)
		if err := alone.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if l := alone.Leadership(); l.Epoch < int32(past.Term) || alone.EndOffset() != 10 {
			t.Errorf("survivor: leader epoch %d, log end %d; want at least %d, 10", l.Epoch, alone.EndOffset(), past.Term)
		}
		mustAppend(t, alone, Append{Batch: plainBatch(2), Acks: -1})

		for _, id := range []int32{1, 2} {
			if err := c.start(id); err != nil {
				t.Fatal(err)
			}
		}
		c.elect(1)
		old := c.partition(1)
		mustAppend(t, old, Append{Batch: plainBatch(5), Acks: -1})
		time.Sleep(5 * time.Second)
		if old.Leadership().Leader != 1 || alone.Leadership().Leader != 3 || alone.EndOffset() != 12 {
			t.Errorf("leaders %+v and %+v, want each its own; log end of the survivor %d, want 12", old.Leadership(), alone.Leadership(), alone.EndOffset())
		}
		c.renew(t, 1, past)
		c.renew(t, 2, Recovery{Generation: 1, Survivor: -1})
		follow(t, alone, 1, 2)
		mustAppend(t, alone, Append{Batch: plainBatch(3), Acks: -1})
		time.Sleep(5 * time.Second)
		for _, id := range []int32{1, 2} {
			if p := c.partition(id); p.HighWatermark() != 15 {
				t.Errorf("node %d: high watermark %d, want 15", id, p.HighWatermark())
			}
			wantEqual(t, c.partition(id), alone)
		}
		c.renew(t, 3, Recovery{Generation: 1, Survivor: -1}) // a restart after all that
		time.Sleep(4 * peerTimeout)                          // raft's own election: nobody kicks here
		if p := c.partition(3); p.EndOffset() != 15 || p.Leadership().Leader < 0 && c.leader() == nil {
			t.Errorf("restarted survivor: log end %d, want 15; %+v", p.EndOffset(), p.Leadership())
		}
	})
}

// Whatever write of the recovery the power fails at, it is done once when the
// node is back. A survivor without a log leads nobody.
func TestHard23RecoveryIsRepeated(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		for range 10 {
			mustAppend(t, lead, Append{Batch: plainBatch(1), Acks: -1})
		}
		time.Sleep(5 * time.Second)
		c.stop(1)
		c.stop(2)
		past := Recovery{Generation: 1, Survivor: 3, Term: 2000}
		spec := c.spec
		spec.Recovery = past
		for writes := 0; ; writes++ {
			c.stop(3)
			c.disk[3].SetRules(vfs.Rule{After: writes, Error: vfs.EIO})
			err := c.startWith(3, spec)
			c.disk[3].SetRules()
			if err == nil {
				break
			}
		}
		p := c.partition(3)
		if err := p.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows := 0
		for i := p.Log().Boundary().Index + 1; i <= p.Log().LastIndex(); i++ {
			if row, err := p.Log().Row(i); err == nil && row.Kind == log.KindConfiguration && row.Term == past.Term {
				rows++
			}
		}
		if rows != 1 || p.EndOffset() != 10 {
			t.Errorf("%d configurations of the new generation, log end %d; want 1, 10", rows, p.EndOffset())
		}
		c.stop(3)
		c.mem[3] = vfs.NewMem()
		c.disk[3] = vfs.NewErr(c.mem[3])
		if err := c.startWith(3, spec); !errors.Is(err, ErrSurvivor) {
			t.Errorf("a survivor whose disk was wiped: %v, want ErrSurvivor", err)
		}
	})
}
