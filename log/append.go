package log

import (
	"fmt"
	"math"
	"time"

	"github.com/oncelog/oncelog/protocol/record"
)

// writing is what the writer keeps about the active segment besides the view.
type writing struct {
	log, rows, payload *handle
	payloadSize        int64
	reserved           int64     // space of .log is allocated up to here
	began              time.Time // when the segment was made
	firstTimestamp     int64     // of its first batch, ms; -1: none yet
	rowBuf, batchBuf   []byte    // scratch
	prepared           []Row     // scratch
}

const (
	reserveStep = 16 << 20 // .log space allocated ahead
	maxGathered = 1 << 20  // batches of one call below this are written by one pwrite
)

// Append stores entries at the end, all or none. It judges no sequence: what
// consensus orders is stored (CheckBatch and Tentative judge before). Rows that
// cannot be rebuilt from batches are synced before it returns; batches are not.
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

// appendRun stores as many leading entries as one write of each file can take:
// up to a roll, or up to a batch behind other kinds, whose rows must be synced
// before (a lost row is rebuilt from the batches alone, see recover.go).
func (l *Log) appendRun(entries []Entry, rows []Row) (n int, err error) {
	cfg := l.Config()
	v := l.view.Load()
	active := v.active
	if rows[0].Kind == KindBatch && l.mustRoll(&active, rows[0], cfg) {
		if err := l.roll(); err != nil {
			return 0, err
		}
		active = l.view.Load().active
	}
	position, payload, others := active.size, l.w.payloadSize, false
	for n < len(rows) {
		row := &rows[n]
		row.Position, row.PayloadPosition = position, int32(payload)
		if row.Kind == KindBatch {
			fits := position+int64(row.Size) <= int64(cfg.SegmentBytes) && row.NextOffset()-active.base <= math.MaxInt32
			if n > 0 && (others || !fits) {
				break
			}
			position += int64(row.Size)
		} else {
			others = true
			payload += int64(row.Size)
		}
		n++
	}
	if err := l.write(entries[:n], rows[:n], &active, position, payload, others); err != nil {
		return 0, err
	}
	l.install(rows[:n], active, cfg)
	return n, nil
}

// write brings a run to the files: batches, payloads, then rows.
func (l *Log) write(entries []Entry, rows []Row, active *segment, size, payloadSize int64, others bool) error {
	if err := l.writeBatches(entries, rows, active.size, size); err != nil {
		return err
	}
	if payloadSize > l.w.payloadSize {
		if err := l.writePayloads(entries, rows, active); err != nil {
			return err
		}
	}
	buf := l.w.rowBuf[:0]
	for _, row := range rows {
		buf = appendRow(buf, row)
	}
	l.w.rowBuf = buf
	if _, err := l.w.rows.WriteAt(buf, int64(active.rows)*rowSize); err != nil {
		return err
	}
	if others {
		if err := l.syncRows(); err != nil {
			return l.fail(err)
		}
	}
	l.w.payloadSize, active.size = payloadSize, size
	active.rows += len(rows)
	return nil
}

// syncRows makes the rows of the active segment last, and their file's name.
func (l *Log) syncRows() error {
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

// writeBatches writes the batches of a run that ends at position end.
func (l *Log) writeBatches(entries []Entry, rows []Row, position, end int64) error {
	if position == end {
		return nil
	}
	if end > l.w.reserved {
		if err := l.w.log.Preallocate(l.w.reserved, max(end, l.w.reserved+reserveStep)-l.w.reserved); err != nil {
			return err
		}
		l.w.reserved = max(end, l.w.reserved+reserveStep)
	}
	if gathered := end - position; len(entries) > 1 && gathered <= maxGathered {
		buf := l.w.batchBuf[:0]
		for i, e := range entries {
			if rows[i].Kind == KindBatch {
				buf = append(buf, e.Data...)
			}
		}
		l.w.batchBuf = buf
		_, err := l.w.log.WriteAt(buf, position)
		return err
	}
	for i, e := range entries {
		if rows[i].Kind != KindBatch {
			continue
		}
		if _, err := l.w.log.WriteAt(e.Data, rows[i].Position); err != nil {
			return err
		}
	}
	return nil
}

// writePayloads writes and syncs what entries that are no batches carry.
func (l *Log) writePayloads(entries []Entry, rows []Row, active *segment) error {
	if l.w.payload == nil {
		file, err := l.handles.create(active.files.payload)
		if err != nil {
			return err
		}
		l.w.payload = file
		if err := l.fs.SyncDir(l.dir); err != nil {
			return l.fail(err)
		}
	}
	for i, e := range entries {
		if rows[i].Kind == KindBatch || rows[i].Size == 0 {
			continue
		}
		if _, err := l.w.payload.WriteAt(e.Data, int64(rows[i].PayloadPosition)); err != nil {
			return err
		}
	}
	return l.fail(l.w.payload.Sync())
}

// install makes stored rows count: it cannot fail.
func (l *Log) install(rows []Row, active segment, cfg Config) {
	now := time.Now()
	next := *l.view.Load()
	l.mu.Lock()
	for _, row := range rows {
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
	next.active = active
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
	longest := cfg.SegmentMs
	if cfg.CleanupCompact && cfg.MaxCompactionLag > 0 {
		longest = min(longest, cfg.MaxCompactionLag)
	}
	return active.size+int64(row.Size) > int64(cfg.SegmentBytes) ||
		age > longest ||
		active.full(cfg.IndexMaxBytes) ||
		row.NextOffset()-active.base > math.MaxInt32
}
