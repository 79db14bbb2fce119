package replication

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/vfs"
	mesh "github.com/oncelog/oncelog/replication/transport"
)

// A cluster is three nodes in one process, joined by memory, on disks in
// memory that can fail.
type cluster struct {
	t    testing.TB
	spec Spec
	cfg  Config

	members []int32      // the nodes, all of them voters
	delay   atomic.Int64 // of the network, at most this many us each way

	mu      sync.Mutex
	rng     *rand.Rand
	nodes   map[int32]*Node
	cut     map[[2]int32]bool          // direction from, to
	sent    map[[2]int32]chan struct{} // closed when the newest request has arrived
	resumed map[[2]int32]time.Time     // when a node heard another again
	silent  map[int32]bool             // a node hears no answers to its pings; all else goes on
	tasks   sync.WaitGroup
	mem     map[int32]*vfs.Mem
	disk    map[int32]*vfs.Err
}

func newCluster(t testing.TB, seed uint64, cfg Config, members ...int32) *cluster {
	c := &cluster{
		t: t, members: members, cfg: cfg, rng: rand.New(rand.NewPCG(seed, 0)),
		spec:  Spec{ID: PartitionID{TopicID: [16]byte{1}}, Topic: "fuzz", Voters: members, Log: log.Config{SegmentBytes: 8 << 10, Retention: log.Unlimited}},
		nodes: make(map[int32]*Node), cut: make(map[[2]int32]bool), sent: make(map[[2]int32]chan struct{}), resumed: make(map[[2]int32]time.Time), silent: make(map[int32]bool),
		mem: make(map[int32]*vfs.Mem), disk: make(map[int32]*vfs.Err),
	}
	for _, id := range members {
		c.mem[id] = vfs.NewMem()
		c.disk[id] = vfs.NewErr(c.mem[id])
	}
	return c
}

// start opens a node and its partition.
func (c *cluster) start(id int32) error { return c.startWith(id, c.spec) }

func (c *cluster) startWith(id int32, spec Spec) error {
	cfg := c.cfg
	cfg.NodeID, cfg.Dir, cfg.FS, cfg.links = id, "data", c.disk[id], memoryLinks{c, id}
	n, err := Open(cfg)
	if err != nil {
		return err
	}
	// The node is reachable before its partition is open.
	c.mu.Lock()
	c.nodes[id] = n
	c.mu.Unlock()
	if _, err := n.OpenPartition(context.Background(), spec); err != nil {
		c.stop(id)
		return err
	}
	return nil
}

func (c *cluster) stop(id int32) {
	c.mu.Lock()
	n := c.nodes[id]
	delete(c.nodes, id)
	last := len(c.nodes) == 0
	c.mu.Unlock()
	if last {
		defer c.tasks.Wait() // for the requests that are under way
	}
	if n == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.intn(50))*time.Millisecond)
	defer cancel()
	if err := n.Close(ctx); err != nil && !isDiskError(err) {
		c.t.Errorf("close of node %d: %v", id, err)
	}
}

func isDiskError(err error) bool {
	return errors.Is(err, vfs.EIO) || errors.Is(err, vfs.ENOSPC) || errors.Is(err, log.ErrFailed) || errors.Is(err, vfs.ErrCrashed)
}

// partition is the replica on a node, nil while it is down.
func (c *cluster) partition(id int32) *Partition {
	c.mu.Lock()
	n := c.nodes[id]
	c.mu.Unlock()
	if n == nil {
		return nil
	}
	return n.Partition(c.spec.ID)
}

// kick has a replica stand for election.
func (c *cluster) kick(id int32) {
	if p := c.partition(id); p != nil {
		p.group.Load().transport.kick()
	}
}

// silence has a node hear no answers to its pings, or hear them again.
func (c *cluster) silence(id int32, silent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent[id] = silent
}

// leader is the ready leader of the highest epoch, nil if there is none.
func (c *cluster) leader() *Partition {
	var best *Partition
	for _, id := range c.members {
		p := c.partition(id)
		if p != nil && p.Leadership().Ready && (best == nil || p.Leadership().Epoch > best.Leadership().Epoch) {
			best = p
		}
	}
	return best
}

func (c *cluster) intn(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}

// anyone is one of the nodes.
func (c *cluster) anyone() int32 { return c.members[c.intn(len(c.members))] }

func (c *cluster) chance(percent int) bool { return c.intn(100) < percent }

func (c *cluster) setCut(from, to int32, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut[[2]int32{from, to}] = cut
}

func (c *cluster) isCut(from, to int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut[[2]int32{from, to}]
}

func (c *cluster) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.cut)
}

// memoryLinks joins the nodes of a cluster. Requests are copied, as a wire
// would, and may take their time.
type memoryLinks struct {
	c    *cluster
	from int32
}

var errUnreachable = errors.New("unreachable")

func (m memoryLinks) up(int32) <-chan struct{} { return reachable }

// pull asks as a call does.
func (m memoryLinks) pull(_ context.Context, to int32, request []byte) ([]byte, error) {
	if err := m.travel(m.from, to); err != nil {
		return nil, err
	}
	m.c.mu.Lock()
	n := m.c.nodes[to]
	m.c.mu.Unlock()
	if n == nil {
		return nil, errUnreachable
	}
	b, err := n.givePiece(request)
	return b, errors.Join(err, m.travel(to, m.from))
}

// contact fences no leader by itself: that is tested on a real mesh.
func (m memoryLinks) contact(to int32) contact {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	return contact{near: !m.c.silent[m.from], resumed: m.c.resumed[[2]int32{m.from, to}]}
}

// reachable is closed: requests to a node that is cut off take their time and fail.
var reachable = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// send keeps the order of the requests to a node, as a connection does.
func (m memoryLinks) send(to int32, id PartitionID, generation uint32, req any, done func(any, error)) {
	req = copyRequest(req)
	way := [2]int32{m.from, to}
	arrived := make(chan struct{})
	m.c.mu.Lock()
	before := m.c.sent[way]
	m.c.sent[way] = arrived
	m.c.mu.Unlock()
	m.c.tasks.Go(func() {
		wait := m.deliver(to, id, generation, req, before)
		close(arrived)
		answer, err := wait(context.Background())
		if err != nil {
			err = fmt.Errorf("node %d: %w", to, err)
		} else if err = m.travel(to, m.from); err != nil {
			answer = nil
		}
		done(answer, err)
	})
}

func (m memoryLinks) deliver(to int32, id PartitionID, generation uint32, req any, before chan struct{}) mesh.Wait {
	err := m.travel(m.from, to)
	if before != nil {
		<-before
	}
	m.c.mu.Lock()
	n := m.c.nodes[to]
	m.c.mu.Unlock()
	if err == nil && n == nil {
		err = errUnreachable
	}
	if err != nil {
		return failed(err)
	}
	return n.receive(id, generation, req)
}

func (m memoryLinks) travel(from, to int32) error {
	cut := m.c.isCut(from, to)
	delay := time.Duration(m.c.intn(int(m.c.delay.Load())+1)) * time.Microsecond
	if cut {
		delay = 100 * time.Millisecond
	}
	if delay > 0 {
		<-time.After(delay)
	}
	if cut || m.c.isCut(from, to) {
		return errUnreachable
	}
	return nil
}

func copyRequest(req any) any {
	switch r := req.(type) {
	case mesh.Idle:
		req = r.AppendEntriesRequest
	case mesh.Urgent:
		req = r.AppendEntriesRequest
	}
	a, ok := req.(*raft.AppendEntriesRequest)
	if !ok {
		return req // raft does not change the others
	}
	out := *a
	out.Entries = make([]*raft.Log, len(a.Entries))
	for i, e := range a.Entries {
		entry := *e
		entry.Data, entry.Extensions = bytes.Clone(e.Data), bytes.Clone(e.Extensions)
		out.Entries[i] = &entry
	}
	return &out
}
