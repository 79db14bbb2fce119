// Package log holds one partition on one disk: Kafka's segment files, the raft
// sidecar beside them, producer state, leader epochs, the aborted-transaction
// index, retention and compaction.
//
// It knows raft indexes and terms as plain numbers. It knows no network and no
// consensus; what is committed its callers tell it.
package log

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/protocol/record"
)

// Options are what Open needs besides the topic's settings.
type Options struct {
	FS     vfs.FS       // nil: the operating system's
	Logger *slog.Logger // nil: silent
}

// A Log is one replica of one topic partition.
//
// Changes hold writer, one at a time; the flusher holds syncer, taken after
// writer. Readers load view. mu guards cfg, state and dirty and is held over
// memory work only. writer and syncer are turns, not mutexes: they are held
// over disk work, and only whoever wants to change or flush the log waits there.
type Log struct {
	dir     string
	fs      vfs.FS // the directory itself lasts with its first SyncDir
	logger  *slog.Logger
	handles *handles

	view    atomic.Pointer[view]
	failed  atomic.Pointer[error] // the disk error that stopped all writes
	writer  turn
	w       writing // guarded by writer
	meta    meta    // as on disk; guarded by writer
	syncer  turn
	f       flushed // guarded by syncer
	cleaner turn    // one compaction at a time; taken before writer
	tasks   sync.WaitGroup
	closing atomic.Bool // ends a compaction under way
	staged  Boundary    // whose clean prefix is in the install directory; see Stage

	mu    sync.Mutex
	cfg   Config
	state state
	dirty dirty
}

// A turn is held by one goroutine at a time.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take() { t <- struct{}{} }
func (t turn) give() { <-t }

// state is what follows from the rows stored so far.
type state struct {
	producers *producers
	epochs    epochs
	recent    recentRows
}

// fail stops all writes until the log is opened again: what is in the page
// cache after a disk error is unknown. It returns the error.
func (l *Log) fail(err error) error {
	if err != nil && l.failed.CompareAndSwap(nil, &err) {
		l.logger.Error("log stopped by disk error", "dir", l.dir, "error", err)
	}
	return err
}

// usable says why the log takes no more changes.
func (l *Log) usable() error {
	cause := l.failed.Load()
	switch {
	case cause == nil:
		return nil
	case errors.Is(*cause, ErrClosed):
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrFailed, *cause)
}

// report takes errors of closing or removing files that nobody needs.
func (l *Log) report(err error) {
	if err != nil {
		l.logger.Warn("partition file not closed or removed", "dir", l.dir, "error", err)
	}
}

// FirstIndex is the index of the oldest row: Boundary().Index + 1, which is
// above LastIndex when there is no row.
func (l *Log) FirstIndex() uint64 { return l.view.Load().boundary.Index + 1 }

// LastIndex is the newest index, or the boundary's.
func (l *Log) LastIndex() uint64 { return l.view.Load().lastIndex() }

// LastTerm is the term of the newest row, or the boundary's.
func (l *Log) LastTerm() uint64 { return l.view.Load().lastTerm }

// Boundary is where the raft part begins.
func (l *Log) Boundary() Boundary { return *l.view.Load().boundary }

// StartOffset is the log start offset.
func (l *Log) StartOffset() int64 { return l.view.Load().start }

// EndOffset is the log end offset: the next offset to be given.
func (l *Log) EndOffset() int64 { return l.view.Load().end() }

// Size is the bytes of all segments' batches.
func (l *Log) Size() int64 {
	v := l.view.Load()
	return bytesOf(v.clean) + bytesOf(v.sealed) + v.active.size
}

// EpochEnd answers OffsetForLeaderEpoch: the largest known epoch up to the
// asked one and the offset where it ends; -1, -1 if the asked one is not known yet.
func (l *Log) EpochEnd(epoch int32) (int32, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.epochs.end(epoch, l.EndOffset())
}

// LatestEpoch is the newest leader epoch, -1 for none.
func (l *Log) LatestEpoch() int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.epochs.latest()
}

// Epochs lists where the leader epochs begin.
func (l *Log) Epochs() []EpochStart {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.state.epochs)
}

// EpochFor is the leader epoch of an offset, -1 if unknown.
func (l *Log) EpochFor(offset int64) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.epochs.at(offset)
}

// LastStableOffset is the end of what read_committed may see below the high
// watermark: max(log start, min(hw, first offset of every transaction that is
// open or closed by a marker at or above hw)) (hard-15).
func (l *Log) LastStableOffset(highWatermark int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if planted.Is(planted.OpenShown) {
		return highWatermark
	}
	return max(l.StartOffset(), l.state.producers.lastStableOffset(highWatermark))
}

// CheckBatch judges a client's batch against the stored state. It changes nothing.
//
// Errors: InvalidProducerEpoch, OutOfOrderSequenceNumber, InvalidTxnState.
func (l *Log) CheckBatch(b record.Batch, info ProduceInfo) (Verdict, error) {
	return l.Tentative().Check(b, info)
}

// CheckMarker judges a marker by the partition's state (hard-12); needAppend
// false means it was written before, and succeeds once the log end of this
// moment is committed.
//
// Errors: TransactionCoordinatorFenced, InvalidProducerEpoch.
func (l *Log) CheckMarker(m Marker) (needAppend bool, err error) {
	return l.Tentative().CheckMarker(m)
}

// OpenTransaction says whether a producer has an open transaction here, where
// it began, and the producer's epoch.
func (l *Log) OpenTransaction(producerID int64) (firstOffset int64, epoch int16, ok bool) {
	return l.Tentative().OpenTransaction(producerID)
}

// Producers lists the known producers by id.
func (l *Log) Producers() []ProducerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.producers.describe()
}

// ExpireProducers forgets producers without open transaction that appended
// nothing for the configured time, as seen by this replica (hard-09).
func (l *Log) ExpireProducers(now time.Time) (dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.producers.expire(now.Add(-l.cfg.ProducerExpiration))
}

// SetConfig changes the topic's settings from now on.
func (l *Log) SetConfig(cfg Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg = cfg.withDefaults()
}

// Config is the settings in force, defaults filled in.
func (l *Log) Config() Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cfg
}

// A SegmentInfo describes one segment to people.
type SegmentInfo struct {
	BaseOffset, NextOffset int64
	Size                   int64
	MaxTimestamp           int64  // ms, -1 for none
	FirstIndex, LastIndex  uint64 // 0 in the clean prefix
	Clean, Active          bool
}

// Segments lists the segments by offset.
func (l *Log) Segments() []SegmentInfo {
	v := l.view.Load()
	var list []SegmentInfo
	for _, s := range v.all() {
		info := SegmentInfo{BaseOffset: s.base, NextOffset: s.next, Size: s.size, MaxTimestamp: s.maxTimestamp, Clean: s.clean, Active: s.active}
		if !s.clean {
			info.FirstIndex, info.LastIndex = s.firstIndex, s.lastIndex()
		}
		list = append(list, info)
	}
	return list
}
