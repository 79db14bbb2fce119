package replication

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/semaphore"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/protocol/record"
)

// A PartitionID names a partition for ever: a topic made again under an old
// name has another id (hard-36).
type PartitionID struct {
	TopicID   [16]byte
	Partition int32
}

// String is the name of the partition's folder: the topic id as hex, a dash,
// the partition.
func (id PartitionID) String() string {
	return hex.EncodeToString(id.TopicID[:]) + "-" + strconv.Itoa(int(id.Partition))
}

// A Spec is what OpenPartition needs to know.
type Spec struct {
	ID     PartitionID
	Topic  string  // for messages
	Voters []int32 // that found the group
	Log    log.Config
	// Joins says that the group is there already: its leader adds this node (see
	// AddObserver) and brings the log, which begins empty.
	Joins bool
	// Existed says that the partition may have been there before this node started, so
	// that one of several voters that has nothing of it has lost it (see forgetful.go).
	Existed bool
	// Recovery says that the group's majority was given up.
	Recovery Recovery
	// Sync has appends synced before they are answered, whatever Config.Fsync says.
	Sync bool
	// Prompt has followers hear of a commit at once, or within 50 ms. It costs 20 requests a
	// second, so it is for groups of which there are few.
	Prompt bool
}

// A Leadership says who leads a partition.
type Leadership struct {
	Leader int32 // node id, -1: unknown
	Epoch  int32 // the leader's term
	Ready  bool  // this replica leads and an entry of its own term is committed
	// Stranded: this replica led in Epoch until raft's lease ended without a majority, and
	// has heard of no newer term. It appends nothing and serves what is committed (hard-26).
	Stranded bool
}

// Serving is the leader, -1 also while it is stranded: it can decide nothing.
func (l Leadership) Serving() int32 {
	if l.Stranded {
		return -1
	}
	return l.Leader
}

// A Partition is one replica of one topic partition.
//
// Appends go through order; commits move its view. Readers load the view and
// take no lock. A disk error ends the group, and recover starts another.
type Partition struct {
	node    *Node
	id      PartitionID
	topic   string
	dir     string
	logger  *slog.Logger
	order   order
	voters  []int32             // to begin with; raft's configuration counts
	joins   bool                // Spec.Joins
	existed bool                // Spec.Existed
	past    Recovery            // Spec.Recovery
	sync    bool                // Spec.Sync
	prompt  bool                // Spec.Prompt
	queue   *semaphore.Weighted // bytes of appends under way

	group  atomic.Pointer[group]
	config atomic.Pointer[log.Config]
	pulled atomic.Int64 // when a follower last asked for a piece, ns
	heard  atomic.Int64 // when the leader last said itself that it leads, ns

	yielded   atomic.Int64            // when this replica last handed the leadership over, ns
	moving    atomic.Bool             // SetVoters runs
	preferred atomic.Pointer[[]int32] // nil: raft's order

	closing  chan struct{} // closed when the partition closes
	tasks    sync.WaitGroup
	mu       sync.Mutex
	closed   bool          // no task starts any more
	flushing bool          // a task syncs every flush.ms
	reflush  chan struct{} // one message when flush.ms changed
	failed   time.Time     // when the disk last failed
	backoff  time.Duration
}

// An Append is one record batch and what its producer wants to be sure of.
type Append struct {
	Batch       record.Batch // exclusive until Append returns; base offset and leader epoch are patched in place
	Acks        int16        // 0, 1: stored here; -1: committed
	MinInSync   int16        // min.insync.replicas; more than there are voters counts as all of them
	Guard       *Guard       // for a batch that opens a transaction here
	Epoch       int32        // above 0: refused unless this node leads in exactly this epoch
	TV2         bool         // transactional, by Produce 12 or newer
	Coordinator bool         // written by a coordinator for a client: no sequence
	Deadline    time.Time    // ends the wait as ctx does, and costs less than a context with it; zero: none
}

// Appended is where a batch is.
type Appended struct {
	BaseOffset     int64
	LogAppendTime  int64 // ms, -1 for batches that carry their producer's time
	LogStartOffset int64
	Duplicate      bool // it was there before
}

// ID is the partition's identity.
func (p *Partition) ID() PartitionID { return p.id }

// Topic is the topic's name.
func (p *Partition) Topic() string { return p.topic }

// Log is the partition's log. A disk error replaces it: fetch it anew for each use.
func (p *Partition) Log() *log.Log { return p.group.Load().log }

// Leadership is who leads, as far as this replica knows.
func (p *Partition) Leadership() Leadership { return p.order.view.Load().leadership }

// HighWatermark is the end of what is committed. It never falls.
func (p *Partition) HighWatermark() int64 { return p.order.view.Load().highWatermark }

// LastStableOffset is the end of what read_committed may see (hard-15).
func (p *Partition) LastStableOffset() int64 { return p.order.view.Load().lastStable }

// StartOffset is the log start offset.
func (p *Partition) StartOffset() int64 { return p.Log().StartOffset() }

// EndOffset is the log end offset.
func (p *Partition) EndOffset() int64 { return p.Log().EndOffset() }

// Moved is closed when the high watermark, the last stable offset or the
// leadership next changes, and when the partition closes. Take it, look at what
// you wait for, then wait.
func (p *Partition) Moved() <-chan struct{} { return p.order.movement() }

// WaitReady returns when this replica leads and may serve.
func (p *Partition) WaitReady(ctx context.Context) error {
	for {
		moved := p.Moved()
		if p.Leadership().Ready {
			return nil
		}
		select {
		case <-moved:
		case <-p.closing:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("wait for leadership of %s-%d: %w", p.topic, p.id.Partition, ctx.Err())
		}
	}
}

// WaitLed returns when a replica leads and may serve, this one or another.
func (p *Partition) WaitLed(ctx context.Context) error {
	for {
		moved := p.Moved()
		if l := p.Leadership(); l.Ready || l.Leader >= 0 && l.Leader != p.node.cfg.NodeID {
			return nil
		}
		select {
		case <-moved:
		case <-p.closing:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("wait for a leader of %s-%d: %w", p.topic, p.id.Partition, ctx.Err())
		}
	}
}

// Voters are the nodes that decide.
func (p *Partition) Voters() []int32 {
	return votersOf(p.group.Load().raft.GetConfiguration().Configuration())
}

// SetConfig changes the topic's settings.
func (p *Partition) SetConfig(c log.Config) {
	p.configure(c)
	p.Log().SetConfig(c)
}

// Append stores a batch and waits as its acks demand. A duplicate waits like
// the original did (hard-04).
//
// Errors: NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS before it is stored and
// NOT_ENOUGH_REPLICAS_AFTER_APPEND after, REQUEST_TIMED_OUT when ctx ends
// or the deadline comes,
// OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE,
// KAFKA_STORAGE_ERROR, ErrGuardGone. With ErrRefused it is certain that the
// batch is not stored.
func (p *Partition) Append(ctx context.Context, a Append) (Appended, error) {
	q, err := p.proposal(ctx, a)
	if err != nil {
		return Appended{}, refusedError{err}
	}
	q.deadline = a.Deadline
	if err := p.run(ctx, q); err != nil {
		return Appended{}, err
	}
	if a.Acks != -1 && p.staysFenced(ctx) { // nothing else tells who led when it was stored
		return Appended{}, fmt.Errorf("append: %w: %w", errFenced, kerr.NotLeaderForPartition)
	}
	return p.appended(q), nil
}

// proposal is what an append proposes.
func (p *Partition) proposal(ctx context.Context, a Append) (*proposal, error) {
	if _, err := record.Peek(a.Batch); err != nil {
		return nil, fmt.Errorf("append: %w: %w", err, kerr.CorruptMessage)
	}
	if l := p.Leadership(); (l.Ready || l.Stranded) && p.staysFenced(ctx) { // who leads nothing says so, whomever it hears
		return nil, fmt.Errorf("append: %w: %w", errFenced, kerr.NotEnoughReplicas)
	}
	need, err := p.enough(a)
	if err != nil {
		return nil, err
	}
	q := &proposal{
		kind: log.KindBatch, data: a.Batch, acks: a.Acks, minInSync: need, epoch: a.Epoch, guard: a.Guard, at: -1,
		info: log.ProduceInfo{Coordinator: a.Coordinator, TV2: a.TV2},
		wake: make(chan struct{}, 1),
	}
	if a.Batch.LogAppendTime() {
		q.at = a.Batch.MaxTimestamp()
	}
	return q, nil
}

func (p *Partition) appended(q *proposal) Appended {
	duplicate := q.outcome == known || q.outcome == repeated
	return Appended{BaseOffset: q.base, LogAppendTime: q.at, LogStartOffset: p.StartOffset(), Duplicate: duplicate}
}

// run takes a proposal through the order. Bytes under way are bounded: who
// would exceed the bound waits.
func (p *Partition) run(ctx context.Context, q *proposal) error {
	size := min(int64(len(q.data)), maxQueuedBytes)
	if err := p.acquire(ctx, size, q.deadline); err != nil {
		return refusedError{fmt.Errorf("append: %w: %w", err, kerr.RequestTimedOut)}
	}
	defer p.queue.Release(size)
	p.order.submit(q)
	p.order.await(ctx, q)
	return q.err
}

// acquire takes room among the bytes under way.
func (p *Partition) acquire(ctx context.Context, size int64, deadline time.Time) error {
	if ctx.Err() == nil && p.queue.TryAcquire(size) {
		return nil
	}
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	return p.queue.Acquire(ctx, size)
}

// AppendMarker writes a transaction marker unless the partition's state says
// that it is there, and returns once it is committed (hard-12, hard-14).
//
// Errors: as Append, and TRANSACTION_COORDINATOR_FENCED.
func (p *Partition) AppendMarker(ctx context.Context, m log.Marker) error {
	control := record.Control{Commit: m.Commit, CoordinatorEpoch: m.CoordinatorEpoch}
	batch := record.NewMarker(m.ProducerID, m.Epoch, control, time.Now().UnixMilli())
	if planted.Is(planted.MarkerTwice) {
		_ = p.run(ctx, &proposal{kind: log.KindBatch, data: slices.Clone(batch), marker: &m, acks: -1, wake: make(chan struct{}, 1)})
	}
	return p.run(ctx, &proposal{kind: log.KindBatch, data: batch, marker: &m, acks: -1, wake: make(chan struct{}, 1)})
}

// DeleteRecords raises the log start offset to offset, or to the high
// watermark for -1, on all replicas, and returns the new one.
//
// Errors: POLICY_VIOLATION when the topic's policy lacks delete,
// OFFSET_OUT_OF_RANGE, those of Append. Source: Kafka's ReplicaManager.deleteRecords.
func (p *Partition) DeleteRecords(ctx context.Context, offset int64) (lowWatermark int64, err error) {
	if !p.Log().Config().CleanupDelete {
		return -1, fmt.Errorf("delete records of %s: cleanup.policy lacks delete: %w", p.topic, kerr.PolicyViolation)
	}
	if !p.Leadership().Ready {
		return -1, errNotLeader
	}
	hw := p.HighWatermark()
	if offset == -1 {
		offset = hw
	}
	if offset < 0 || offset > hw {
		return -1, fmt.Errorf("delete records before offset %d, high watermark is %d: %w", offset, hw, kerr.OffsetOutOfRange)
	}
	if offset > p.StartOffset() {
		if err := p.raiseStart(ctx, offset); err != nil {
			return -1, err
		}
	}
	return p.StartOffset(), nil
}

// raiseStart has the group agree on a log start and waits until it is applied here.
func (p *Partition) raiseStart(ctx context.Context, offset int64) error {
	return p.run(ctx, &proposal{kind: log.KindLogStart, data: log.LogStartPayload(offset), acks: -1, wake: make(chan struct{}, 1)})
}
