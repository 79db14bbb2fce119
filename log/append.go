package log

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/oncelog/oncelog/protocol/record"
)

// writing is what the writer keeps about the active segment besides the view.
type writing struct {
	log, rows        *handle
	payloadSize      int64
	reserved         int64     // space of .log is allocated up to here
	began            time.Time // when the segment was made
	jitter           float64   // of segment.jitter.ms, the part that is taken from this segment's age
	firstTimestamp   int64     // of its first batch, ms; -1: none yet
	rowBuf, batchBuf []byte    // scratch
	prepared         []Row     // scratch
}

const (
	minReserve  = 64 << 10 // .log space allocated ahead, at least
	maxReserve  = 16 << 20 // and at most
	maxGathered = 1 << 20  // batches of one call below this are written by one pwrite
)

// Append stores entries at the end, all or none. It judges no sequence: what
// consensus orders is stored (CheckBatch and Tentative judge before). Void,
// configuration and log-start rows are synced when it returns, as recovery could
// not make them anew; batches, a noop that begins a term and the very first row
// are not: that is what Sync is for.
//
// Errors: ErrMismatch, ErrCorrupt, ErrFailed, ErrClosed, those of the file system.
func (l *Log) Append(entries []Entry) error {
	l.writer.take()
	defer l.writer.give()
	if err := l.usable(); err != nil {
		return err
	}
	rows, err := l.prepare(entries)
	if err != nil {
		return err
	}
	first := l.LastIndex() + 1
	for done := 0; done < len(rows); {
		n, err := l.appendRun(entries[done:], rows[done:])
		if err != nil {
			err = fmt.Errorf("append index %d: %w", rows[done].Index, err)
			if undo := l.truncate(first); undo != nil {
				return l.fail(fmt.Errorf("%w, and taking it back failed: %w", err, undo))
			}
			return err
		}
		done += n
	}
	return nil
}

// prepare checks that the entries continue the log, patches what a leader
// appends and makes their rows, without positions.
func (l *Log) prepare(entries []Entry) ([]Row, error) {
	v := l.view.Load()
	index, term, next := v.lastIndex()+1, v.lastTerm, v.end()
	rows := l.w.prepared[:0]
	for i := range entries {
		e := &entries[i]
		if e.Index != index || e.Term < term || !e.Kind.valid() {
			return nil, fmt.Errorf("index %d term %d kind %d, want index %d and term %d or newer: %w", e.Index, e.Term, e.Kind, index, term, ErrMismatch)
		}
		row, err := prepareRow(e, next)
		if err != nil {
			return nil, fmt.Errorf("index %d: %w", index, err)
		}
		e.BaseOffset = next
		index, term, next = index+1, e.Term, row.NextOffset()
		rows = append(rows, row)
	}
	l.w.prepared = rows
	return rows, nil
}

func prepareRow(e *Entry, next int64) (Row, error) {
	if e.Kind != KindBatch {
		row := Row{Index: e.Index, Term: e.Term, Kind: e.Kind, BaseOffset: next, MaxTimestamp: -1, ProducerID: -1, ProducerEpoch: noEpoch, BaseSequence: -1, CoordinatorEpoch: -1}
		if e.Kind != KindVoid {
			row.Size, row.CRC = int32(len(e.Data)), checksum(e.Data)
			if len(e.Data) <= maxInline {
				row.inline = string(e.Data)
			}
		}
		return row, nil
	}
	b, err := record.Peek(e.Data)
	if err != nil || len(b) != len(e.Data) {
		return Row{}, fmt.Errorf("%d bytes are not one batch (%w): %w", len(e.Data), err, ErrMismatch)
	}
	switch {
	case e.LeaderAppend:
		b.SetBaseOffset(next)
		b.SetLeaderEpoch(int32(e.Term))
	case b.BaseOffset() != next || b.LeaderEpoch() != int32(e.Term):
		return Row{}, fmt.Errorf("base offset %d and leader epoch %d, want %d and %d: %w", b.BaseOffset(), b.LeaderEpoch(), next, e.Term, ErrMismatch)
	case b.Checksum() != b.CRC():
		return Row{}, fmt.Errorf("batch checksum %08x, want %08x: %w", b.Checksum(), b.CRC(), ErrCorrupt)
	}
	row, err := batchRow(b)
	row.Index, row.Term = e.Index, e.Term
	return row, err
}

// A run is what one write of each file stores: leading entries of a call.
type run struct {
	entries              []Entry
	rows                 []Row
	active               segment // as it will be
	from, end            int64   // of the batches in .log
	payloadFrom, payload int64   // of the payloads
	others               bool    // holds rows that are no batches
	synced               bool    // its rows must be on the disk before a later batch is written
}

// appendRun stores as many leading entries as one write of each file can take.
func (l *Log) appendRun(entries []Entry, rows []Row) (n int, err error) {
	cfg := l.Config()
	active := &l.view.Load().active
	if rows[0].Kind == KindBatch && l.mustRoll(active, rows[0], cfg) {
		if err := l.roll(); err != nil {
			return 0, err
		}
	}
	r := l.nextRun(entries, rows, cfg)
	if err := l.write(&r); err != nil {
		return 0, err
	}
	l.install(&r, cfg)
	return len(r.rows), nil
}

// nextRun takes entries up to a roll, or up to a batch behind a row that must be
// synced before it. Such a row is one whose place recovery could not know if it
// were lost: any other kind but a noop that begins a term, which the term of the
// batches behind it tells (see recovery.reindex), and the very first row.
func (l *Log) nextRun(entries []Entry, rows []Row, cfg Config) run {
	v := l.view.Load()
	r := run{active: v.active, from: v.active.size, end: v.active.size, payloadFrom: l.w.payloadSize, payload: l.w.payloadSize}
	term, n := v.lastTerm, 0
	for ; n < len(rows); n++ {
		row := &rows[n]
		row.Position, row.PayloadPosition = r.end, int32(r.payload)
		if row.Kind == KindBatch {
			fits := r.end+int64(row.Size) <= int64(cfg.SegmentBytes) && row.NextOffset()-r.active.base <= math.MaxInt32
			if n > 0 && (r.synced || !fits) {
				break
			}
			r.end += int64(row.Size)
		} else {
			r.others = true
			r.synced = r.synced || row.Index > 1 && (row.Kind != KindNoop || row.Term == term)
			r.payload += row.payloadBytes()
		}
		term = row.Term
	}
	r.entries, r.rows = entries[:n], rows[:n]
	return r
}

// write brings a run to the files: batches, payloads, then rows.
func (l *Log) write(r *run) error {
	if err := l.writeBatches(r); err != nil {
		return err
	}
	if r.payload > r.payloadFrom {
		if err := l.writePayloads(r); err != nil {
			return err
		}
	}
	buf := l.w.rowBuf[:0]
	for _, row := range r.rows {
		buf = appendRow(buf, row)
	}
	l.w.rowBuf = buf
	if _, err := l.w.rows.WriteAt(buf, int64(r.active.rows)*rowSize); err != nil {
		return err
	}
	if r.synced {
		if err := l.syncRows(r); err != nil {
			return l.fail(err)
		}
	}
	l.w.payloadSize = r.payload
	r.active.size = r.end
	r.active.rows += len(r.rows)
	return nil
}

// syncRows makes the rows of the active segment last, what they point to and
// the names of the files.
func (l *Log) syncRows(r *run) error {
	if r.payload > 0 {
		if err := l.syncFile(r.active.files.payload); err != nil {
			return err
		}
	}
	if err := l.w.rows.Sync(); err != nil {
		return err
	}
	l.mu.Lock()
	directory := l.dirty.directory
	l.mu.Unlock()
	if !directory {
		return nil
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	l.mu.Lock()
	l.dirty.directory = false // only the writer makes files, and it is here
	l.mu.Unlock()
	return nil
}

// writeBatches writes the batches of a run.
func (l *Log) writeBatches(r *run) error {
	if r.from == r.end {
		return nil
	}
	if err := l.reserve(r.end); err != nil {
		return err
	}
	if len(r.entries) > 1 && r.end-r.from <= maxGathered {
		buf := l.w.batchBuf[:0]
		for i, e := range r.entries {
			if r.rows[i].Kind == KindBatch {
				buf = append(buf, e.Data...)
			}
		}
		l.w.batchBuf = buf
		_, err := l.w.log.WriteAt(buf, r.from)
		return err
	}
	for i, e := range r.entries {
		if r.rows[i].Kind != KindBatch {
			continue
		}
		if _, err := l.w.log.WriteAt(e.Data, r.rows[i].Position); err != nil {
			return err
		}
	}
	return nil
}

// reserve allocates space ahead of a write that ends at a position: as much again
// as is there, so that a small partition holds little that it may never use.
func (l *Log) reserve(end int64) error {
	if end <= l.w.reserved {
		return nil
	}
	cfg := l.Config()
	ahead := min(max(end, minReserve), maxReserve)
	if cfg.Preallocate {
		ahead = int64(cfg.SegmentBytes)
	}
	upTo := max(end, min(l.w.reserved+ahead, int64(cfg.SegmentBytes)))
	if err := l.w.log.Preallocate(l.w.reserved, upTo-l.w.reserved); err != nil {
		return err
	}
	l.w.reserved = upTo
	return nil
}

// writePayloads writes what entries that are no batches carry and rows do not hold.
func (l *Log) writePayloads(r *run) error {
	file, err := l.handles.acquire(r.active.files.payload)
	if errors.Is(err, fs.ErrNotExist) {
		if file, err = l.handles.create(r.active.files.payload); err == nil {
			l.mu.Lock()
			l.dirty.directory = true
			l.mu.Unlock()
		}
	}
	if err != nil {
		return err
	}
	defer l.handles.release(file)
	for i, e := range r.entries {
		if r.rows[i].payloadBytes() == 0 {
			continue
		}
		if _, err := file.WriteAt(e.Data, int64(r.rows[i].PayloadPosition)); err != nil {
			return err
		}
	}
	return nil
}

// install makes stored rows count: it cannot fail.
func (l *Log) install(r *run, cfg Config) {
	now := time.Now()
	active := &r.active
	next := *l.view.Load()
	l.mu.Lock()
	for _, row := range r.rows {
		if txn, ok := l.state.add(row, now); ok {
			active.aborted = append(active.aborted, txn)
		}
		if row.Kind == KindBatch {
			active.add(active.base, row, cfg.IndexIntervalBytes)
			active.next = row.NextOffset()
			if l.w.firstTimestamp < 0 {
				l.w.firstTimestamp = row.MaxTimestamp
			}
		}
		next.lastTerm = row.Term
	}
	next.active, next.epochs = *active, l.state.epochs
	l.dirty.rows = l.dirty.rows || r.others && !r.synced
	l.view.Store(&next)
	l.mu.Unlock()
}

// add installs one row.
func (s *state) add(row Row, now time.Time) (AbortedTxn, bool) {
	s.epochs = s.epochs.assign(int32(row.Term), row.BaseOffset)
	s.recent = s.recent.add(row)
	return s.producers.apply(row, now)
}

// mustRoll says whether a batch begins a new segment. Source:
// org.apache.kafka.storage.internals.log.LogSegment.shouldRoll.
func (l *Log) mustRoll(active *segment, row Row, cfg Config) bool {
	if active.size == 0 {
		return false
	}
	age := time.Since(l.w.began)
	if l.w.firstTimestamp >= 0 && row.MaxTimestamp >= 0 {
		age = time.Duration(row.MaxTimestamp-l.w.firstTimestamp) * time.Millisecond
	}
	longest := cfg.SegmentAge
	if cfg.CleanupCompact && cfg.MaxCompactionLag > 0 {
		longest = min(longest, cfg.MaxCompactionLag)
	}
	longest -= time.Duration(l.w.jitter * float64(min(cfg.SegmentJitter, longest)))
	return active.size+int64(row.Size) > int64(cfg.SegmentBytes) ||
		age > longest ||
		active.full(cfg.IndexMaxBytes) ||
		row.NextOffset()-active.base > math.MaxInt32
}
