package replication

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/memnet"
	"github.com/oncelog/oncelog/protocol/record"
	mesh "github.com/oncelog/oncelog/replication/transport"
)

// A fleet is nodes in one bubble whose meshes meet on a network in memory.
type fleet struct {
	t       testing.TB
	members []int32
	network *memnet.Network
	nodes   map[int32]*Node
	disks   map[int32]*vfs.Mem
	faults  map[int32]*vfs.Err // before the disks of running nodes
	specs   []Spec
	late    bool // a node that starts opens no partitions
	existed bool // those that it opens were there before
	said    lastLines
}

func hostOf(id int32) string { return fmt.Sprint("node ", id) }

func addressOf(id int32) string { return fmt.Sprintf("127.0.0.1:%d", 7000+id) }

// inFleet runs a test in a bubble with three nodes that hold so many partitions.
func inFleet(t *testing.T, partitions int, test func(t *testing.T, f *fleet)) {
	t.Helper()
	var replicas [][]int32
	for i := range partitions {
		voters := []int32{1, 2, 3}
		voters[0], voters[i%3] = voters[i%3], voters[0]
		replicas = append(replicas, voters)
	}
	inFleetOf(t, []int32{1, 2, 3}, replicas, test)
}

// inFleetOf is inFleet with the given nodes and the voters of each partition.
func inFleetOf(t *testing.T, members []int32, replicas [][]int32, test func(t *testing.T, f *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{t: t, members: members, network: memnet.New(), nodes: map[int32]*Node{}, disks: map[int32]*vfs.Mem{}, faults: map[int32]*vfs.Err{}}
		for i, voters := range replicas {
			f.specs = append(f.specs, Spec{ID: PartitionID{TopicID: [16]byte{9}, Partition: int32(i)}, Topic: "orders", Voters: voters})
		}
		for _, id := range members {
			f.disks[id] = vfs.NewMem()
			f.start(id)
		}
		defer func() {
			for id := range f.nodes {
				f.stop(id)
			}
		}()
		test(t, f)
	})
}

func (f *fleet) start(id int32) {
	f.t.Helper()
	host := f.network.Host(hostOf(id))
	listener, err := host.Listen("tcp", addressOf(id))
	if err != nil {
		f.t.Fatal(err)
	}
	f.faults[id] = vfs.NewErr(f.disks[id])
	n, err := Open(Config{NodeID: id, Dir: "data", FS: f.faults[id], Logger: f.said.logger(), Mesh: &mesh.Config{
		ClusterID: "fleet", Listener: listener, Address: addressOf(id),
		Dial: func(ctx context.Context, address string) (net.Conn, error) { return host.Dial(ctx, "tcp", address) },
	}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.nodes[id] = n
	peers := map[int32]string{}
	for _, other := range f.members {
		peers[other] = addressOf(other)
	}
	n.SetPeers(peers)
	if f.late {
		return
	}
	f.openAll(id)
}

func (f *fleet) openAll(id int32) {
	f.t.Helper()
	for _, spec := range f.specs {
		if !slices.Contains(spec.Voters, id) {
			continue
		}
		spec.Existed = f.existed
		if _, err := f.nodes[id].OpenPartition(context.Background(), spec); err != nil {
			f.t.Fatal(err)
		}
	}
}

// stop ends a node as a killed process would: nothing is settled first.
func (f *fleet) stop(id int32) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.nodes[id].Close(ctx); err != nil {
		f.t.Errorf("close of node %d: %v", id, err)
	}
	delete(f.nodes, id)
}

// isolate cuts a node off from the others, in one direction each or both.
func (f *fleet) isolate(id int32, in, out bool) {
	for other := range f.disks {
		if other != id && in {
			f.network.Cut(hostOf(other), hostOf(id))
		}
		if other != id && out {
			f.network.Cut(hostOf(id), hostOf(other))
		}
	}
}

func (f *fleet) heal(id int32) {
	for other := range f.disks {
		f.network.Heal(hostOf(other), hostOf(id))
		f.network.Heal(hostOf(id), hostOf(other))
	}
}

// write appends with acks=all wherever the leader is, as a client that retries,
// and returns who took it.
func (f *fleet) write(i int) *Partition {
	f.t.Helper()
	return f.append(i, plainBatch(1))
}

func (f *fleet) append(i int, batch record.Batch) *Partition {
	f.t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(5 * time.Millisecond) {
		for _, n := range f.nodes {
			p := n.Partition(f.specs[i].ID)
			if p == nil || !p.Leadership().Ready {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_, err := p.Append(ctx, Append{Batch: bytes.Clone(batch), Acks: -1})
			cancel()
			if err == nil {
				return p
			}
		}
	}
	f.t.Fatalf("partition %d takes no append within a minute", i)
	return nil
}

func TestFailoverWithinASecond(t *testing.T) {
	for _, c := range []struct {
		name  string
		sever func(f *fleet, id int32)
	}{
		{"the leader's process is killed", func(f *fleet, id int32) { f.stop(id) }},
		{"the leader is cut off", func(f *fleet, id int32) { f.isolate(id, true, true) }},
		{"nothing reaches the leader", func(f *fleet, id int32) { f.isolate(id, true, false) }},
		{"nothing comes from the leader", func(f *fleet, id int32) { f.isolate(id, false, true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFleet(t, 3, func(t *testing.T, f *fleet) {
				old := f.write(0)
				epoch := old.Leadership().Epoch
				c.sever(f, old.node.cfg.NodeID)
				began := time.Now()
				lead := f.write(0)
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("the next append was acked after %v, want at most 3s", took)
				} else {
					t.Logf("acked after %v", took)
				}
				if lead == old || lead.Leadership().Epoch <= epoch {
					t.Errorf("epoch %d on node %d follows epoch %d on node %d", lead.Leadership().Epoch, lead.node.cfg.NodeID, epoch, old.node.cfg.NodeID)
				}
			})
		})
	}
}

// Who stands for election before its voters have opened the group would wait ten
// seconds for their votes.
func TestFailoverWhileAnotherNodeStarts(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		leader := f.write(0).node.cfg.NodeID
		starting := leader%3 + 1
		f.stop(starting)
		f.late = true
		f.start(starting)
		time.Sleep(5 * time.Second) // the nodes hear each other
		f.stop(leader)
		time.Sleep(2 * time.Second)
		f.openAll(starting)
		began := time.Now()
		f.write(0)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the next append was acked %v after the group was open on a majority, want at most 1s", took)
		}
	})
}

// A replica that stood in vain stands again soon: raft itself would have it wait
// twenty seconds or more, and hear no kick meanwhile (hard-25).
func TestLostElectionIsRepeated(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		leader := f.write(0).node.cfg.NodeID
		f.stop(leader)
		for _, n := range f.nodes { // both stand in the same term, so neither gets a vote
			n.Partition(f.specs[0].ID).group.Load().stand()
		}
		began := time.Now()
		f.write(0)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the next append was acked after %v, want at most 2s", took)
		}
	})
}

// A replica that starts knows the leader when it has asked, not when raft's next
// heartbeat comes.
func TestRestartedReplicaKnowsTheLeaderAtOnce(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		lead := f.write(0)
		id := lead.node.cfg.NodeID%3 + 1
		f.stop(id)
		time.Sleep(time.Second)
		f.start(id)
		began := time.Now()
		p := f.nodes[id].Partition(f.specs[0].ID)
		if err := p.WaitLed(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("the leader was known after %v, want 100ms", took)
		}
		if got, want := p.Leadership(), (Leadership{Leader: lead.node.cfg.NodeID, Epoch: lead.Leadership().Epoch}); got != want {
			t.Errorf("it knows %+v, want %+v", got, want)
		}
	})
}

// A leader that is cut off must not take what it cannot keep: acks=1 stops
// within a second (promise 20, hard-24).
func TestHard24CutOffLeaderIsFenced(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		old := f.write(0)
		f.isolate(old.node.cfg.NodeID, true, true)
		time.Sleep(time.Second)
		for _, acks := range []int16{0, 1, -1} {
			if _, err := old.Append(t.Context(), Append{Batch: plainBatch(1), Acks: acks}); !errors.Is(err, kerr.NotEnoughReplicas) || !errors.As(err, &refusedError{}) {
				t.Errorf("acks=%d on a leader that is cut off: %v, want it refused with NOT_ENOUGH_REPLICAS", acks, err)
			}
		}
		f.write(0)
		f.heal(old.node.cfg.NodeID)
		f.write(0)
		for old.EndOffset() != 3 {
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// Restarted nodes find their leaders by asking, and no leader that is well is deposed.
func TestRestarts(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, f *fleet) {
		for i := range f.specs {
			f.write(i)
		}
		for _, id := range []int32{1, 2, 3} {
			epochs := map[int]int32{}
			for i := range f.specs {
				if p := f.write(i); p.node.cfg.NodeID != id {
					epochs[i] = p.Leadership().Epoch
				}
			}
			f.stop(id)
			for i := range f.specs {
				f.write(i)
			}
			f.start(id)
			time.Sleep(5 * time.Second)
			for i := range f.specs {
				p := f.write(i)
				if want, led := epochs[i]; led && p.Leadership().Epoch != want {
					t.Errorf("partition %d: the restart of node %d moved epoch %d to %d", i, id, want, p.Leadership().Epoch)
				}
			}
		}
		for id := range f.disks {
			f.stop(id)
		}
		for id := range f.disks {
			f.start(id)
		}
		began := time.Now()
		for i := range f.specs {
			f.write(i)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("after a restart of all nodes every partition took an append after %v, want at most 3s", took)
		}
	})
}
