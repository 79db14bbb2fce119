// Package replication keeps each partition's log the same on its replicas: one
// hashicorp/raft group for each partition, whose log is the partition's own.
//
// It promises what hard-cases.md A and C ask: what is acked with acks=all is in
// the log once, at the offset that was answered, on a majority. It knows record
// batches by their headers only, and no topic names but for messages. Nothing
// of raft appears in what it exports.
package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/oncelog/oncelog/log/vfs"
	mesh "github.com/oncelog/oncelog/replication/transport"
)

// maxQueuedBytes bounds the appends under way on one partition. Who would
// exceed it waits.
const maxQueuedBytes = 16 << 20

// A Fsync says when appends are forced to disk. Term and vote always are.
type Fsync string

// The policies. Never is Kafka's: what a killed process leaves in the page
// cache survives, what a power cut takes may not.
const (
	FsyncNever    Fsync = "never"
	FsyncInterval Fsync = "interval" // at most Config.FsyncInterval after the append
	FsyncAlways   Fsync = "always"   // before the append is answered; those that wait share one sync
)

// A Config is what Open needs.
type Config struct {
	NodeID int32
	Dir    string       // holds the slot file and a folder for each partition
	FS     vfs.FS       // nil: the operating system's
	Logger *slog.Logger // nil: silent

	Fsync         Fsync         // "": never
	FsyncInterval time.Duration // 0: 1 s

	RetentionCheckInterval time.Duration // 0: 5 min (log.retention.check.interval.ms)
	CleanerBackoff         time.Duration // 0: 15 s (log.cleaner.backoff.ms)
	ProducerExpiryInterval time.Duration // 0: 10 min (producer.id.expiration.check.interval.ms)
	ReplicaLagTimeMax      time.Duration // 0: 30 s (replica.lag.time.max.ms)

	// Mesh joins this node to others; its id, its logger and what it does with
	// what it receives are filled in. Call gets what other brokers' Node.Call sent.
	// nil: there are no others.
	Mesh *mesh.Config

	links  links               // those of Mesh; nil: no other nodes
	faulty func(*order) ledger // nil; in tests, an order with a fault
}

func (c Config) withDefaults() (Config, error) {
	if c.FS == nil {
		c.FS = vfs.OS
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Fsync == "" {
		c.Fsync = FsyncNever
	}
	if !slices.Contains([]Fsync{FsyncNever, FsyncInterval, FsyncAlways}, c.Fsync) {
		return c, fmt.Errorf("fsync policy %q, want never, interval or always", c.Fsync)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.FsyncInterval, time.Second},
		{&c.RetentionCheckInterval, 5 * time.Minute},
		{&c.CleanerBackoff, 15 * time.Second},
		{&c.ProducerExpiryInterval, 10 * time.Minute},
		{&c.ReplicaLagTimeMax, 30 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return c, nil
}

// A Node is all replicas that one broker holds.
type Node struct {
	cfg      Config
	slots    *slots
	mesh     *mesh.Mesh // nil: no other nodes
	detector *detector
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
	throttle *throttle
	leaving  atomic.Bool // Handover began: no replica stands for election
	forgiven atomic.Int64
	// cleanerBackoff holds the newest change of it until maintenance takes note.
	cleanerBackoff chan time.Duration

	mu         sync.Mutex
	partitions map[PartitionID]*Partition
	opening    map[PartitionID]chan struct{} // closed when it is open or failed
	closed     bool
}

// Open opens the slot file of cfg.Dir and starts the node's maintenance. Two
// nodes must not share a directory; the caller holds a lock on it.
func Open(cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(cfg.FS.MkdirAll(cfg.Dir, 0o700), cfg.FS.SyncDir(filepath.Dir(cfg.Dir))); err != nil {
		return nil, fmt.Errorf("create %s: %w", cfg.Dir, err)
	}
	cfg.FS = vfs.ShareDirSync(cfg.FS, cfg.Dir)
	s, err := openSlots(cfg.FS, cfg.Dir, cfg.Fsync == FsyncAlways)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &Node{
		cfg: cfg, slots: s, cancel: cancel, cleanerBackoff: make(chan time.Duration, 1), throttle: newThrottle(),
		partitions: make(map[PartitionID]*Partition), opening: make(map[PartitionID]chan struct{}),
	}
	n.detector = newDetector(n)
	if err := n.openMesh(cfg.Mesh); err != nil {
		cancel()
		return nil, errors.Join(err, s.close(true)) // nothing was written
	}
	n.tasks.Go(func() { n.detector.run(ctx) })
	n.startMaintenance(ctx)
	return n, nil
}

// OpenPartition creates or recovers a partition and starts its group. It
// returns before there is a leader; an only voter leads within milliseconds. A
// partition that is open already is returned as it is. Calls for different
// partitions may run in parallel, and then share their syncs.
func (n *Node) OpenPartition(ctx context.Context, spec Spec) (*Partition, error) {
	if !spec.Joins && !slices.Contains(spec.Voters, n.cfg.NodeID) {
		return nil, fmt.Errorf("node %d is not among the voters %v of %v", n.cfg.NodeID, spec.Voters, spec.ID)
	}
	for {
		n.mu.Lock()
		p, busy := n.partitions[spec.ID], n.opening[spec.ID]
		if n.closed {
			n.mu.Unlock()
			return nil, ErrClosed
		}
		if p != nil {
			n.mu.Unlock()
			return p, nil
		}
		if busy == nil {
			busy = make(chan struct{})
			n.opening[spec.ID] = busy
			n.tasks.Add(1)
			n.mu.Unlock()
			defer n.tasks.Done()
			return n.open(spec, busy)
		}
		n.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("open %v: %w", spec.ID, ctx.Err())
		}
	}
}

func (n *Node) open(spec Spec, busy chan struct{}) (*Partition, error) {
	p := &Partition{
		node: n, id: spec.ID, topic: spec.Topic, dir: n.folder(spec.ID), voters: slices.Clone(spec.Voters), joins: spec.Joins || spec.Recovery.givesUp(n.cfg.NodeID), existed: spec.Existed, past: spec.Recovery, sync: spec.Sync, prompt: spec.Prompt,
		logger:  n.cfg.Logger.With("topic", spec.Topic, "partition", spec.ID.Partition),
		queue:   semaphore.NewWeighted(maxQueuedBytes),
		closing: make(chan struct{}), reflush: make(chan struct{}, 1),
	}
	p.order.p, p.order.check = p, p.order.judge
	p.order.view.Store(&view{leadership: Leadership{Leader: -1, Epoch: -1}})
	p.config.Store(&spec.Log)
	err := p.start()
	if err == nil {
		p.configure(spec.Log)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.opening, spec.ID)
	close(busy)
	if err != nil {
		return nil, err
	}
	n.partitions[spec.ID] = p
	n.detector.poke()
	return p, nil
}

// DeletePartition closes a partition and removes its files. Its id must never
// be opened again (hard-36).
func (n *Node) DeletePartition(ctx context.Context, id PartitionID) error {
	p := n.forget(id)
	if p == nil {
		return nil
	}
	if err := p.close(ctx, true); err != nil {
		return fmt.Errorf("delete %v: %w", id, err)
	}
	return n.slots.release(id)
}

// forget takes a partition off the node, for the caller to close it; nil if it
// is not open.
func (n *Node) forget(id PartitionID) *Partition {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.partitions[id]
	delete(n.partitions, id)
	return p
}

// ClosePartition closes a partition and leaves its files, so that it can be
// opened by another Spec. What is under way is settled until ctx ends.
func (n *Node) ClosePartition(ctx context.Context, id PartitionID) error {
	p := n.forget(id)
	if p == nil {
		return nil
	}
	if err := p.close(ctx, false); err != nil {
		return fmt.Errorf("close %v: %w", id, err)
	}
	return nil
}

// receive puts a raft request of another node's replica in line. It must be of
// the generation that is open here (hard-23).
func (n *Node) receive(id PartitionID, generation uint32, request any) mesh.Wait {
	p := n.Partition(id)
	if p == nil {
		return failed(fmt.Errorf("%v: %w", id, mesh.ErrNotOpen))
	}
	if own := p.past.Generation; generation != own {
		return failed(fmt.Errorf("%v: request of generation %d, this replica is of generation %d", id, generation, own))
	}
	return p.group.Load().transport.receive(request)
}

// Partition returns an open partition, or nil.
func (n *Node) Partition(id PartitionID) *Partition {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.partitions[id]
}

func (n *Node) all() []*Partition {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*Partition, 0, len(n.partitions))
	for _, p := range n.partitions {
		list = append(list, p)
	}
	return list
}

// Close stops accepting, lets what is under way settle until ctx ends, and
// stops all groups in parallel.
func (n *Node) Close(ctx context.Context) error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	n.mu.Unlock()
	n.cancel()
	n.tasks.Wait()
	list := n.all()
	errs := make([]error, len(list))
	var stopping sync.WaitGroup
	for i, p := range list {
		stopping.Go(func() { errs[i] = p.close(ctx, false) })
	}
	stopping.Wait()
	clean := errors.Join(errs...) == nil && !slices.ContainsFunc(list, func(p *Partition) bool { return p.group.Load().store.failed.Load() })
	if n.mesh != nil {
		errs = append(errs, n.mesh.Close())
	}
	return errors.Join(append(errs, n.slots.close(clean))...)
}
