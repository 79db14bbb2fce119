package log

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/oncelog/oncelog/protocol/record"
)

// clean reads the input of a plan and writes what is to be kept. It may shorten
// the plan's dirty part when there are too many keys.
func (l *Log) clean(ctx context.Context, p *plan) ([]*segment, error) {
	stale, err := l.findStale(ctx, p)
	if err != nil {
		return nil, err
	}
	input := p.input()
	aborted, err := l.Aborted(input[0].base, p.upTo(), nil)
	if err != nil {
		return nil, err
	}
	c := &cleaning{log: l, plan: *p, stale: stale, txns: newTxnTrace(aborted), lastOf: l.lastRecords(), begin: input[0].base}
	if err := l.fs.MkdirAll(p.dir(l), dirPerm); err != nil {
		return nil, err
	}
	for _, s := range input {
		if err := l.scanSegment(ctx, s, c.batch); err != nil {
			return nil, errors.Join(err, c.abandon())
		}
	}
	if err := c.finish(); err != nil {
		return nil, errors.Join(err, c.abandon())
	}
	if err := l.fs.SyncDir(p.dir(l)); err != nil {
		return nil, err
	}
	return c.output, l.fs.SyncDir(l.dir)
}

// scanSegment hands every whole batch of a segment to fn; the bytes end with the call.
func (l *Log) scanSegment(ctx context.Context, s *segment, fn func(record.Batch) error) error {
	file, err := l.handles.acquire(s.files.log)
	if err != nil {
		return err
	}
	defer l.handles.release(file)
	chain, _, err := l.chainFrom(l.view.Load(), s, file, s.base)
	defer l.done(&chain)
	if err != nil {
		return err
	}
	scan := newScanner(file, s.size)
	defer scan.free()
	for position := int64(0); position < s.size; {
		if err := errors.Join(ctx.Err(), l.usable()); err != nil {
			return err
		}
		if l.closing.Load() {
			return ErrClosed
		}
		b, err := scan.batch(position)
		if err != nil {
			return fmt.Errorf("%s: %w", s.files.log, err)
		}
		if b.Checksum() != b.CRC() {
			return fmt.Errorf("%s at %d: checksum %08x, want %08x: %w", s.files.log, position, b.Checksum(), b.CRC(), ErrCorrupt)
		}
		if err := chain.check(position, b); err != nil {
			return err
		}
		position += int64(b.Size())
		if err := fn(b); err != nil {
			return fmt.Errorf("%s: %w", s.files.log, err)
		}
	}
	return nil
}

// lastRecord is what of a live producer must not vanish: its newest batch, or
// if it has none, the marker of its epoch.
type lastRecord struct {
	offset int64 // of its last record, noOffset: none
	epoch  int16
}

func (l *Log) lastRecords() map[int64]lastRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make(map[int64]lastRecord, len(l.state.producers.byID))
	for id, p := range l.state.producers.byID {
		last := lastRecord{noOffset, p.epoch}
		if p.count > 0 {
			last.offset = p.window[p.count-1].lastOffset
		}
		list[id] = last
	}
	return list
}

// A txnTrace follows transactions through batches in offset order. Source:
// org.apache.kafka.storage.internals.log.CleanedTransactionMetadata.
type txnTrace struct {
	waiting   []AbortedTxn // by first offset; not reached yet
	aborted   map[int64]*tracedTxn
	committed map[int64]bool // producers with data since their last marker
}

type tracedTxn struct {
	txn  AbortedTxn
	data bool // a batch of it is still there
}

func newTxnTrace(aborted []AbortedTxn) *txnTrace {
	waiting := slices.Clone(aborted)
	slices.SortFunc(waiting, func(a, b AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return &txnTrace{waiting: waiting, aborted: map[int64]*tracedTxn{}, committed: map[int64]bool{}}
}

// see takes the next batch. It says whether nobody needs the batch's records:
// they were aborted, or it is a marker whose transaction has no data left.
func (x *txnTrace) see(b record.Batch) (useless bool) {
	for len(x.waiting) > 0 && x.waiting[0].FirstOffset <= b.LastOffset() {
		x.aborted[x.waiting[0].ProducerID] = &tracedTxn{txn: x.waiting[0]}
		x.waiting = x.waiting[1:]
	}
	pid := b.ProducerID()
	switch txn := x.aborted[pid]; {
	case !b.IsTransactional() || b.IsControl():
		return false
	case txn != nil:
		txn.data = true
		return true
	}
	x.committed[pid] = true
	return false
}

// marker takes a marker, after see. It returns the aborted transaction that
// the marker must go on ending.
func (x *txnTrace) marker(b record.Batch) (useless bool, ended *AbortedTxn, err error) {
	control, isMarker, err := b.Control()
	if err != nil || !isMarker {
		return err == nil && b.Count() == 0, nil, err
	}
	pid := b.ProducerID()
	if control.Commit {
		data := x.committed[pid]
		delete(x.committed, pid)
		return !data, nil, nil
	}
	txn := x.aborted[pid]
	delete(x.aborted, pid)
	if txn == nil || !txn.data {
		return true, nil, nil
	}
	return false, &txn.txn, nil
}

// follow is see, and marker where the batch is one. It says whether the batch holds
// no records of keys, or such as were aborted.
func (x *txnTrace) follow(b record.Batch) (useless bool, err error) {
	if useless = x.see(b); b.IsControl() {
		_, _, err = x.marker(b)
		return true, err
	}
	return useless, nil
}

// cleaning is one compaction under way: its rules and its output.
type cleaning struct {
	log    *Log
	plan   plan
	stale  stale
	seen   int64 // records of the input before this batch
	txns   *txnTrace
	lastOf map[int64]lastRecord
	buf    record.Buffers
	begin  int64 // base of the next output segment
	out    *cleanOutput
	output []*segment
}

// cleanOutput is the segment being written.
type cleanOutput struct {
	segment
	file      *handle
	pend      []byte // bytes not written yet, from position size-len(pend)
	headFile  *handle
	headsPend []byte // likewise, of the heads
}

// batch keeps, rewrites or drops one batch.
func (c *cleaning) batch(b record.Batch) error {
	useless := c.txns.see(b)
	var ended *AbortedTxn
	if b.IsControl() {
		var err error
		if useless, ended, err = c.txns.marker(b); err != nil {
			return err
		}
	}
	now := c.plan.now.UnixMilli()
	// A marker without data still waits for its horizon, so that slow readers see it.
	drop := useless && (!b.IsControl() || b.HasDeleteHorizon() && b.DeleteHorizon() <= now)
	at := c.seen
	c.seen += int64(b.Count())
	next := at
	keep := func(r record.Record) bool {
		next++
		return !drop && c.wanted(b, r, next-1, now)
	}
	kept, tombstones := int32(0), false
	for r, err := range b.Records(&c.buf) {
		if err != nil {
			return err
		}
		if keep(r) {
			kept++
			tombstones = tombstones || r.Value == nil
		}
	}
	if kept == 0 && !c.mustStay(b) {
		return nil
	}
	horizon := int64(0)
	if kept > 0 && !b.HasDeleteHorizon() && (tombstones && !b.IsControl() || useless && b.IsControl()) {
		horizon = now + c.plan.cfg.DeleteRetention.Milliseconds()
	}
	if kept != b.Count() || horizon > 0 {
		var err error
		next = at
		if b, err = b.Retain(keep, horizon, &c.buf); err != nil {
			return err
		}
	}
	return c.write(b, ended)
}

// wanted says whether a record stays: it is the newest of its key and no
// tombstone that everybody had time to see. at is its place in the input. Source:
// Cleaner.shouldRetainRecord.
func (c *cleaning) wanted(b record.Batch, r record.Record, at, now int64) bool {
	if b.IsControl() {
		return true
	}
	if r.Key == nil || r.Value == nil && b.HasDeleteHorizon() && b.DeleteHorizon() <= now {
		return false
	}
	return !c.stale.has(r, at)
}

// mustStay says whether a batch without records keeps its header: it is the
// last of a live producer, whose sequence restarts from it, or of this round.
func (c *cleaning) mustStay(b record.Batch) bool {
	if b.NextOffset() == c.plan.upTo() {
		return true
	}
	last, live := c.lastOf[b.ProducerID()]
	if !live || b.ProducerID() < 0 {
		return false
	}
	if last.offset != noOffset {
		return b.LastOffset() == last.offset
	}
	return b.IsControl() && b.ProducerEpoch() == last.epoch
}

// outputChunk is what is written at once.
const outputChunk = 1 << 20

// write adds a batch to the output.
func (c *cleaning) write(b record.Batch, ended *AbortedTxn) error {
	if c.out != nil && (c.out.size+int64(len(b)) > int64(c.plan.cfg.SegmentBytes) || b.LastOffset()-c.out.base > math.MaxInt32) {
		if err := c.closeOutput(b.BaseOffset()); err != nil {
			return err
		}
	}
	if c.out == nil {
		if err := c.openOutput(); err != nil {
			return err
		}
	}
	row := Row{Position: c.out.size, Size: int32(len(b)), BaseOffset: b.BaseOffset(), Count: b.LastOffsetDelta() + 1, MaxTimestamp: b.MaxTimestamp()}
	c.out.add(c.out.base, row, c.plan.cfg.IndexIntervalBytes)
	c.out.headsPend = headOf(c.out.base, c.out.size, b).append(c.out.headsPend)
	c.out.headCount++
	c.out.size += int64(len(b))
	c.out.pend = append(c.out.pend, b...)
	if ended != nil {
		c.out.aborted = append(c.out.aborted, *ended)
	}
	if len(c.out.pend) < outputChunk {
		return nil
	}
	return c.flushOutput()
}

func (c *cleaning) flushOutput() error {
	_, err := c.out.file.WriteAt(c.out.pend, c.out.size-int64(len(c.out.pend)))
	c.out.pend = c.out.pend[:0]
	if err != nil {
		return err
	}
	_, err = c.out.headFile.WriteAt(c.out.headsPend, c.out.headCount*headSize-int64(len(c.out.headsPend)))
	c.out.headsPend = c.out.headsPend[:0]
	return err
}

func (c *cleaning) openOutput() error {
	files := filesOf(c.plan.dir(c.log), c.begin)
	file, err := c.log.handles.create(files.log)
	if err != nil {
		return err
	}
	heads, err := c.log.handles.create(files.heads)
	if err != nil {
		c.log.handles.release(file)
		return err
	}
	c.out = &cleanOutput{headFile: heads, segment: segment{files: files, base: c.begin, clean: true, sparse: newSparse(), hints: new(hints), ended: new(abortedList)}, file: file}
	return nil
}

// closeOutput syncs the segment being written; the next one begins at an offset.
func (c *cleaning) closeOutput(next int64) error {
	s := c.out.segment
	s.next = next
	if err := c.flushOutput(); err != nil {
		return err
	}
	if err := errors.Join(c.out.file.Sync(), c.out.headFile.Sync()); err != nil {
		return err
	}
	if err := c.log.writeIndexes(&s, nil); err != nil {
		return err
	}
	for _, name := range []string{s.files.index, s.files.time, s.files.seal} {
		if err := c.log.syncFile(name); err != nil {
			return err
		}
	}
	if len(s.aborted) > 0 {
		if err := c.log.syncFile(s.files.txn); err != nil {
			return err
		}
	}
	s.index, s.times, s.aborted = nil, nil, nil
	c.output, c.begin = append(c.output, &s), next
	c.log.handles.release(c.out.file)
	c.log.handles.release(c.out.headFile)
	c.out = nil
	return nil
}

func (c *cleaning) finish() error {
	if c.out == nil {
		return nil
	}
	return c.closeOutput(c.plan.upTo())
}

// abandon forgets the files written so far; their directory is removed by the caller.
func (c *cleaning) abandon() error {
	if c.out != nil {
		c.log.handles.release(c.out.file)
		c.log.handles.release(c.out.headFile)
		c.output = append(c.output, &c.out.segment)
	}
	var errs []error
	for _, s := range c.output {
		for _, name := range s.files.all() {
			errs = append(errs, c.log.handles.discard(name))
		}
	}
	return errors.Join(errs...)
}
