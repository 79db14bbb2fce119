package replication

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
)

// crash ends a node with its machine: what mode says is gone from the disk.
func (f *fleet) crash(id int32, mode vfs.CrashMode) {
	f.t.Helper()
	f.disks[id].Crash(mode, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.nodes[id].Close(ctx); err != nil && !isDiskError(err) {
		f.t.Errorf("close of node %d: %v", id, err)
	}
	delete(f.nodes, id)
}

func (f *fleet) empty(id int32) {
	f.crash(id, vfs.Killed)
	f.disks[id] = vfs.NewMem()
}

// leads is the node that leads a partition, 0 if none does.
func (f *fleet) leads(i int) int32 {
	for id, n := range f.nodes {
		if n.Partition(f.specs[i].ID).Leadership().Ready {
			return id
		}
	}
	return 0
}

func (f *fleet) forgetful(id int32) bool {
	return f.nodes[id].Partition(f.specs[0].ID).group.Load().transport.forgetful.Load()
}

func (f *fleet) forgiven() (n int64) {
	for _, node := range f.nodes {
		n += node.Forgiven()
	}
	return n
}

// inLag runs a test where two of three nodes hold records that were acknowledged:
// lead and holder, and the third was cut off.
func inLag(t *testing.T, test func(t *testing.T, f *fleet, lead, holder, behind int32)) {
	t.Helper()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.existed = true
		lead := f.write(0).node.cfg.NodeID
		time.Sleep(3 * time.Second)
		holder, behind := lead%3+1, (lead+1)%3+1
		f.isolate(behind, true, true)
		for range 9 {
			f.write(0)
		}
		test(t, f, lead, holder, behind)
	})
}

// hard-29: an entry is acknowledged by two of three. One of them loses it, the other
// dies: the third must not be elected by the one that forgot.
func TestHard29ForgetfulReplicaGivesNoVote(t *testing.T) {
	for name, forget := range map[string]func(f *fleet, id int32){
		"power cut":     func(f *fleet, id int32) { f.crash(id, vfs.Lost) },
		"emptied disk":  (*fleet).empty,
		"killed behind": func(f *fleet, id int32) { f.crash(id, vfs.Lost); f.start(id); f.crash(id, vfs.Killed) },
	} {
		t.Run(name, func(t *testing.T) {
			inLag(t, func(t *testing.T, f *fleet, lead, holder, behind int32) {
				f.crash(lead, vfs.Killed)
				forget(f, holder)
				f.heal(behind)
				f.start(holder)
				time.Sleep(45 * time.Second) // raft's own timers end too
				if now := f.leads(0); now != 0 {
					t.Fatalf("node %d was elected, and the records that nodes %d and %d acknowledged are lost", now, lead, holder)
				}
				if !f.forgetful(holder) || f.forgiven() != 0 {
					t.Errorf("node %d: forgetful %v, %d forgiven", holder, f.forgetful(holder), f.forgiven())
				}
				f.start(lead)
				if p := f.write(0); p.HighWatermark() < 11 {
					t.Errorf("high watermark %d, want the 10 records that were acknowledged and one more", p.HighWatermark())
				}
				time.Sleep(5 * time.Second)
				if f.forgetful(holder) {
					t.Fatalf("node %d was brought up and is still forgetful", holder)
				}
				// Its vote counts again, now and after a restart.
				f.crash(holder, vfs.Killed)
				f.start(holder)
				if f.forgetful(holder) {
					t.Errorf("node %d is forgetful again", holder)
				}
				f.crash(lead, vfs.Killed)
				if p := f.write(0); p.HighWatermark() < 12 {
					t.Errorf("high watermark %d, want 12", p.HighWatermark())
				}
			})
		})
	}
}

// A process that was killed, and a machine that was stopped in order, forget nothing.
func TestHard29WhoForgotNothingVotes(t *testing.T) {
	for name, restart := range map[string]func(f *fleet, id int32){
		"killed":  func(f *fleet, id int32) { f.crash(id, vfs.Killed) },
		"stopped": func(f *fleet, id int32) { f.stop(id); f.disks[id].Crash(vfs.Lost, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			inLag(t, func(t *testing.T, f *fleet, lead, holder, behind int32) {
				f.crash(lead, vfs.Killed)
				restart(f, holder)
				f.heal(behind)
				f.start(holder)
				if p := f.write(0); p.HighWatermark() != 11 {
					t.Errorf("node %d leads, high watermark %d, want 11: node %d held all that was acknowledged", p.node.cfg.NodeID, p.HighWatermark(), holder)
				}
			})
		})
	}
}

// Where too few are left that forgot nothing, waiting helps nobody: the rest votes
// after a while, and who holds most leads.
func TestHard29ForgetfulMajorityGoesOn(t *testing.T) {
	for _, c := range []struct {
		name      string
		forget    func(f *fleet, id int32)
		who       func(lead, holder, behind int32) []int32
		kept      bool // the acknowledged records are there
		forgiving bool
	}{
		{"all lose power", func(f *fleet, id int32) { f.crash(id, vfs.Lost) }, func(l, h, b int32) []int32 { return []int32{l, h, b} }, false, true},
		{"two lose power", func(f *fleet, id int32) { f.crash(id, vfs.Lost) }, func(l, h, b int32) []int32 { return []int32{h, b} }, true, true},
		{"two disks are emptied", (*fleet).empty, func(l, h, b int32) []int32 { return []int32{h, b} }, true, true},
		{"all disks are emptied", (*fleet).empty, func(l, h, b int32) []int32 { return []int32{l, h, b} }, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLag(t, func(t *testing.T, f *fleet, lead, holder, behind int32) {
				forgetting := c.who(lead, holder, behind)
				if !slices.Contains(forgetting, lead) {
					f.crash(lead, vfs.Killed)
				}
				for _, id := range forgetting {
					c.forget(f, id)
				}
				f.heal(behind)
				for _, id := range []int32{1, 2, 3} {
					f.start(id)
				}
				began := time.Now()
				p := f.write(0)
				if took := time.Since(began); c.forgiving && (took < forgiveAfter || took > forgiveAfter+5*time.Second) || !c.forgiving && took > time.Second {
					t.Errorf("the next append was acked after %v", took)
				}
				if c.kept && p.HighWatermark() != 11 {
					t.Errorf("high watermark %d, want 11: node %d held all", p.HighWatermark(), lead)
				}
				if n := f.forgiven(); (n > 0) != c.forgiving {
					t.Errorf("%d replicas were forgiven", n)
				}
				time.Sleep(5 * time.Second)
				for _, id := range []int32{1, 2, 3} {
					if f.forgetful(id) {
						t.Errorf("node %d is still forgetful", id)
					}
				}
			})
		})
	}
}
