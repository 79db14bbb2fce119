// Package shard runs a coordinator over one internal partition.
//
// A shard replays the partition into a view. The view is always a function of
// the log up to the high watermark: a record reaches it by being read back after
// its commit, in log order, whoever appended it. A coordinator decides from the
// view, the shard appends what was decided, and the answer goes out when the view
// holds it. Whatever a coordinator answered is therefore in the log, and a new
// leader that replays the log knows it.
//
// The shard knows nothing of groups or transactions, and nothing of raft.
package shard

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/oncelog/oncelog/protocol/record"
)

const (
	// restDefault is what Options.Rest is when it says nothing.
	restDefault = 250 * time.Millisecond
	// parkDefault is how long a request waits for a leader that is loading.
	parkDefault = 500 * time.Millisecond
)

// A View is what a coordinator knows: state computed from the log alone.
//
// Apply installs one committed batch. It is called in log order, never twice for
// a batch, one call at a time, under the view lock; it does not block and keeps
// no bytes of the batch (copy what you keep). Offsets may have holes where
// compaction removed records. An error means that the log cannot be understood:
// the shard stops serving.
type View interface {
	Apply(b Batch) error
}

// A Resumer is a view that starts with state of its own: replay goes on from
// the offset Resume, not from the log start.
type Resumer interface {
	Resume() int64
}

// A Batch is one committed batch, decoded. Its records and their bytes are valid
// during Apply only.
type Batch struct {
	BaseOffset    int64
	NextOffset    int64
	Timestamp     int64 // largest of the batch, ms
	ProducerID    int64 // -1: none
	ProducerEpoch int16
	Transactional bool
	Control       *record.Control // a transaction marker; Records is empty then
	Records       []record.Record // a nil Value is a tombstone
}

// A Write is what an update wants to append: one batch. The zero Write appends
// nothing.
type Write struct {
	// Records without offsets. Timestamps are the decider's.
	Records []record.Record
	// Transactional: the records belong to the transaction of this producer.
	Transactional bool
	ProducerID    int64
	ProducerEpoch int16
	TV2           bool
	// Guard of the verification that let the records in, if there was one.
	Guard Guard
}

// Options of a shard. Zero values are defaults.
type Options[V View] struct {
	// OnLoad runs under the view lock when a leadership begins: the view is
	// complete and nobody else has seen it. It must not block.
	OnLoad func(view V, epoch int32)
	// OnUnload runs under the view lock when that leadership is over. Unless
	// Follow, the view is dropped: Apply, decide and View do not see it any more.
	// It must not block.
	OnUnload func(view V, epoch int32)
	// Persist runs after batches were applied, without the view lock; Apply does
	// not run meanwhile. next is the offset after the last applied batch.
	Persist func(view V, next int64) error
	// Follow keeps one view through all leaderships, and off the leader too.
	Follow bool
	// Park is how long a request waits for a shard that is loading before it is
	// answered COORDINATOR_LOAD_IN_PROGRESS. 0: 500 ms. Negative: not at all.
	Park time.Duration
	// Rest is the least time between two wake-ups of a shard's own goroutine while
	// others append. Requests do not wait for it. 0: 250 ms.
	Rest   time.Duration
	Logger *slog.Logger // nil: discard
}

// A Shard is one coordinator partition on this node.
//
// One goroutine (run) follows leadership: it loads the view and drops it. A
// request reads the log itself, one at a time by replay.turn. The term is what a
// leadership allows; requests load it once and work under it to their end.
type Shard[V View] struct {
	p       Partition
	newView func(epoch int32) V
	opts    Options[V]
	logger  *slog.Logger

	ctx    context.Context // of the background work and of appends; ended by Close
	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned
	wake   chan struct{} // nudges run; capacity 1

	term    atomic.Pointer[term[V]]   // nil while this node may not update
	replay  atomic.Pointer[replay[V]] // nil while there is no view
	failure atomic.Pointer[failure]   // why the last replay failed; stored by run alone
	changed atomic.Pointer[chan struct{}]
}

// failure is a replay that met what it cannot read, and the leadership it was in.
type failure struct {
	epoch int32
	err   error
}

// passes says that the same replay may succeed later.
func (f *failure) passes() bool { return !errors.Is(f.err, errUnreadable) }

// Open starts a shard over p. It returns at once; loading follows leadership.
// newView makes an empty view for a leadership (epoch -1 for a following view).
func Open[V View](ctx context.Context, p Partition, newView func(epoch int32) V, opts Options[V]) *Shard[V] {
	s := &Shard[V]{p: p, newView: newView, opts: opts, logger: opts.Logger, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.opts.Park == 0 {
		s.opts.Park = parkDefault
	}
	if s.opts.Rest == 0 {
		s.opts.Rest = restDefault
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	if opts.Follow {
		s.replay.Store(newReplay(newView(-1), p.StartOffset(), opts.Persist))
	}
	s.announce()
	go s.run()
	return s
}

// Close ends the shard and waits for its goroutine. Whoever still waits in
// Update or View is answered NOT_COORDINATOR.
func (s *Shard[V]) Close() {
	s.cancel()
	<-s.done
}

// Epoch is the leader epoch this shard serves under, -1 when it does not.
func (s *Shard[V]) Epoch() int32 {
	if t := s.current(); t != nil {
		return t.epoch
	}
	return -1
}

// Ready says that the view is loaded and updates are served.
func (s *Shard[V]) Ready() bool { return s.current() != nil }

// Guard starts a verification of a producer id on the partition (hard-07).
func (s *Shard[V]) Guard(producerID int64) Guard { return s.p.Guard(producerID) }

// announce wakes whoever waits for a change of the shard's state.
func (s *Shard[V]) announce() {
	next := make(chan struct{})
	if old := s.changed.Swap(&next); old != nil {
		close(*old)
	}
}

// nudge makes run look again now.
func (s *Shard[V]) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
