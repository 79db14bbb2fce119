// Package log holds one partition on one disk: Kafka's segment files, the raft
// sidecar beside them, producer state, leader epochs, the aborted-transaction
// index, retention and compaction.
//
// It knows raft indexes and terms as plain numbers. It knows no network and no
// consensus; what is committed its callers tell it.
package log

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// Options are what Open needs besides the topic's settings.
type Options struct {
	FS     vfs.FS       // nil: the operating system's
	Logger *slog.Logger // nil: silent
}

// A Log is one replica of one topic partition.
//
// This first form keeps everything in memory; files follow behind the same methods.
type Log struct {
	mu     sync.Mutex
	cfg    Config
	rows   []Row
	data   [][]byte
	start  int64
	end    int64
	b      Boundary
	state  state
	closed bool
}

// state is what follows from the rows stored so far.
type state struct {
	producers *producers
	epochs    epochs
	aborted   []AbortedTxn
}

// Open opens or creates the log in dir and recovers its tail.
//
// Errors: ErrNewerFormat, ErrCorrupt, those of the file system.
func Open(dir string, cfg Config, opts Options) (*Log, error) {
	return &Log{cfg: cfg.withDefaults(), state: state{producers: newProducers()}}, nil
}

// Append stores entries at the end, all or none. It judges no sequence: what
// consensus orders is stored (CheckBatch and Tentative judge before).
//
// Errors: ErrMismatch, ErrFailed, ErrClosed, those of the file system.
func (l *Log) Append(entries []Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.end
	rows := make([]Row, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		row := Row{Index: e.Index, Term: e.Term, Kind: e.Kind, Size: int32(len(e.Data)), BaseOffset: end, ProducerID: -1}
		if e.Index != l.last()+1+uint64(i) {
			return fmt.Errorf("index %d, want %d: %w", e.Index, l.last()+1+uint64(i), ErrMismatch)
		}
		if e.Kind == KindBatch {
			b, err := record.Peek(e.Data)
			if err != nil {
				return fmt.Errorf("append index %d: %w", e.Index, err)
			}
			if e.LeaderAppend {
				b.SetBaseOffset(end)
				b.SetLeaderEpoch(int32(e.Term))
			} else if b.BaseOffset() != end || b.LeaderEpoch() != int32(e.Term) {
				return fmt.Errorf("base offset %d epoch %d, want %d and %d: %w", b.BaseOffset(), b.LeaderEpoch(), end, e.Term, ErrMismatch)
			}
			if row, err = batchRow(b); err != nil {
				return err
			}
			row.Index, row.Term = e.Index, e.Term
		}
		e.BaseOffset = end
		end = row.NextOffset()
		rows = append(rows, row)
	}
	for i, row := range rows {
		l.rows, l.data = append(l.rows, row), append(l.data, append([]byte(nil), entries[i].Data...))
		l.install(row)
	}
	l.end = end
	return nil
}

func (l *Log) install(row Row) {
	l.state.epochs = l.state.epochs.assign(int32(row.Term), row.BaseOffset)
	if txn, ok := l.state.producers.apply(row, time.Now()); ok {
		l.state.aborted = append(l.state.aborted, txn)
	}
}

func (l *Log) last() uint64 { return l.b.Index + uint64(len(l.rows)) }

// FirstIndex is the index of the oldest row. Boundary().Index + 1, and above
// LastIndex when there is no row.
func (l *Log) FirstIndex() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Index + 1
}

// LastIndex is the newest index, or the boundary's.
func (l *Log) LastIndex() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last()
}

// Row returns the row of an index.
//
// Errors: ErrNotFound.
func (l *Log) Row(index uint64) (Row, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if index <= l.b.Index || index > l.last() {
		return Row{}, fmt.Errorf("index %d: %w", index, ErrNotFound)
	}
	return l.rows[index-l.b.Index-1], nil
}

// Payload appends the bytes of a row to buf. The row is looked up again after
// they are read, so bytes of a truncated row are never returned.
//
// Errors: ErrNotFound, ErrCorrupt.
func (l *Log) Payload(row Row, buf []byte) ([]byte, error) {
	now, err := l.Row(row.Index)
	if err != nil || now != row {
		return nil, fmt.Errorf("index %d: %w", row.Index, ErrNotFound)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(buf, l.data[row.Index-l.b.Index-1]...), nil
}

// TruncateSuffix removes the entries from an index on.
//
// Errors: ErrNotFound for an index at or below the boundary.
func (l *Log) TruncateSuffix(fromIndex uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if fromIndex <= l.b.Index {
		return fmt.Errorf("truncate from %d: %w", fromIndex, ErrNotFound)
	}
	if fromIndex > l.last() {
		return nil
	}
	keep := fromIndex - l.b.Index - 1
	l.end = l.rows[keep].BaseOffset
	l.rows, l.data = l.rows[:keep], l.data[:keep]
	l.state = state{producers: newProducers()}
	for _, row := range l.rows {
		l.install(row)
	}
	return nil
}

// Sync makes everything appended so far last.
func (l *Log) Sync() error { return nil }

// Close syncs and closes the files; it waits for background work.
func (l *Log) Close() error { return nil }

// Remove closes the log and deletes its directory.
func (l *Log) Remove() error { return nil }

// Boundary is where the raft part begins.
func (l *Log) Boundary() Boundary {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b
}

// StartOffset is the log start offset.
func (l *Log) StartOffset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start
}

// EndOffset is the log end offset: the next offset to be given.
func (l *Log) EndOffset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// LogStartPayload is the payload of a KindLogStart entry.
func LogStartPayload(offset int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(offset)) }

// LogStartOffset reads the payload of a KindLogStart entry.
//
// Errors: ErrCorrupt.
func LogStartOffset(payload []byte) (int64, error) {
	if len(payload) != 8 {
		return 0, fmt.Errorf("log start payload of %d bytes, want 8: %w", len(payload), ErrCorrupt)
	}
	return int64(binary.BigEndian.Uint64(payload)), nil
}

// ApplyStart applies a committed log-start command: the log start rises to
// offset, never falls. Segments wholly below it are deleted and the boundary
// moves, at most to applied, the newest index known to be applied (the command's own).
func (l *Log) ApplyStart(offset, highWatermark int64, applied uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start = max(l.start, min(offset, highWatermark))
	return nil
}

// Read appends whole stored batches to dst: the one that holds offset from and
// those after it, all below upTo, at most maxBytes of them. With minOne the
// first comes whole even if it is larger. dst grows if its free room is less.
//
// Errors: ErrOutOfRange below the log start or above the log end.
func (l *Log) Read(dst []byte, from, upTo int64, maxBytes int, minOne bool) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from < l.start || from > l.end {
		return dst, fmt.Errorf("offset %d, log is %d to %d: %w", from, l.start, l.end, ErrOutOfRange)
	}
	read := 0
	for i, row := range l.rows {
		if row.Kind != KindBatch || row.NextOffset() <= from {
			continue
		}
		if row.NextOffset() > upTo || read+int(row.Size) > maxBytes && (read > 0 || !minOne) {
			break
		}
		dst = append(dst, l.data[i]...)
		read += int(row.Size)
	}
	return dst, nil
}

// OffsetForTime finds the first record below upTo whose timestamp is at least ts (ms).
func (l *Log) OffsetForTime(ts, upTo int64) (offset, timestamp int64, leaderEpoch int32, ok bool, err error) {
	return -1, -1, -1, false, nil
}

// MaxTimestamp finds the record below upTo with the largest timestamp.
func (l *Log) MaxTimestamp(upTo int64) (offset, timestamp int64, leaderEpoch int32, ok bool, err error) {
	return -1, -1, -1, false, nil
}

// EpochEnd answers OffsetForLeaderEpoch: the largest epoch up to the asked one
// and where it ends; -1, -1 if the asked one is unknown.
func (l *Log) EpochEnd(epoch int32) (int32, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.epochs.end(epoch, l.end)
}

// LatestEpoch is the newest leader epoch, -1 for none.
func (l *Log) LatestEpoch() int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.epochs.latest()
}

// EpochFor is the leader epoch of an offset, -1 if unknown.
func (l *Log) EpochFor(offset int64) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.epochs.at(offset)
}

// Aborted appends to dst the aborted transactions that overlap [from, upTo).
func (l *Log) Aborted(from, upTo int64, dst []AbortedTxn) ([]AbortedTxn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, txn := range l.state.aborted {
		if txn.LastOffset >= from && txn.FirstOffset < upTo {
			dst = append(dst, txn)
		}
	}
	return dst, nil
}

// LastStableOffset is the end of what read_committed may see below the high
// watermark: max(log start, min(hw, first offset of every transaction that is
// open or closed by a marker at or above hw)) (hard-15).
func (l *Log) LastStableOffset(highWatermark int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.start, l.state.producers.lastStableOffset(highWatermark))
}

// CheckBatch judges a client's batch against the stored state. It changes nothing.
//
// Errors: InvalidProducerEpoch, OutOfOrderSequenceNumber, InvalidTxnState.
func (l *Log) CheckBatch(b record.Batch, info ProduceInfo) (Verdict, error) {
	return l.Tentative().Check(b, info)
}

// CheckMarker judges a marker by the partition's state (hard-12); needAppend
// false means it was written before and succeeds once the present log end is committed.
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
// nothing for the configured time.
func (l *Log) ExpireProducers(now time.Time) (dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.producers.expire(now.Add(-l.cfg.ProducerExpiration))
}

// RetentionStart says where retention wants the log start; ok is false when
// nothing is to be deleted. The leader proposes it as a KindLogStart entry.
func (l *Log) RetentionStart(now time.Time, highWatermark int64) (offset int64, ok bool) {
	return 0, false
}

// CompactLimits bound a compaction from above.
type CompactLimits struct {
	HighWatermark    int64
	LastStableOffset int64
	Applied          uint64 // no row above this index leaves the raft part
	MinMatch         int64  // the lowest log end of the voters seen lately; 0: no voter to wait for
	Now              time.Time
}

// CompactResult says what a compaction did.
type CompactResult struct {
	Ran                     bool
	UpTo                    int64 // the new end of the clean prefix
	BytesBefore, BytesAfter int64
}

// Compact rewrites the sealed segments below the limits, when enough of them is
// dirty, keeping the newest record of each key (hard-33).
func (l *Log) Compact(ctx context.Context, limits CompactLimits) (CompactResult, error) {
	return CompactResult{}, nil
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

// Size is the bytes of all segments' batches.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var size int64
	for _, row := range l.rows {
		size += int64(row.Size)
	}
	return size
}

// A SegmentInfo describes one segment to people.
type SegmentInfo struct {
	BaseOffset, NextOffset int64
	Size                   int64
	MaxTimestamp           int64 // ms, -1 for none
	FirstIndex, LastIndex  uint64
	Clean, Active          bool
}

// Segments lists the segments by offset.
func (l *Log) Segments() []SegmentInfo { return nil }

// A Snapshot is what a replica needs to begin at a boundary: exactly the state
// of that offset (hard-33). Its clean-prefix files travel apart.
type Snapshot struct {
	Boundary  Boundary
	LogStart  int64
	Producers []byte // a producer-state snapshot at Boundary.NextOffset
	Epochs    []EpochStart
}

// Snapshot is the boundary snapshot.
func (l *Log) Snapshot() (Snapshot, error) { return Snapshot{Boundary: l.Boundary()}, nil }

// ResetTo throws the whole log away and begins at a snapshot's boundary.
func (l *Log) ResetTo(s Snapshot) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows, l.data = nil, nil
	l.b, l.start, l.end = s.Boundary, s.LogStart, s.Boundary.NextOffset
	l.state = state{producers: newProducers(), epochs: s.Epochs}
	return nil
}
