package log

import (
	"fmt"

	"github.com/oncelog/oncelog/protocol/record"
)

// A Tentative is the log's producer state plus what one round of the leader has
// accepted and not stored yet (hard-01, hard-02 shape b). It changes nothing in
// the log; the next round takes a new one.
//
// It is used by one goroutine, while nobody else appends to the log.
type Tentative struct {
	log  *Log
	next int64 // base offset of the batch accepted next
	end  int64 // log end when the round began
	own  map[int64]producer
}

// Tentative begins a round at the log's present end.
func (l *Log) Tentative() *Tentative {
	end := l.EndOffset()
	return &Tentative{log: l, next: end, end: end}
}

// Check judges a client's batch. An accepted batch must be Installed before the
// next Check.
//
// Errors: as CheckBatch.
func (t *Tentative) Check(b record.Batch, info ProduceInfo) (Verdict, error) {
	if b.ProducerID() < 0 {
		return Verdict{}, nil
	}
	p := t.get(b.ProducerID())
	verdict, err := p.check(b, info)
	verdict.Pending = verdict.Duplicate && verdict.BaseOffset >= t.end
	return verdict, err
}

// CheckMarker judges a marker as Log.CheckMarker does.
func (t *Tentative) CheckMarker(m Marker) (needAppend bool, err error) {
	p := t.get(m.ProducerID)
	return p.checkMarker(m)
}

// OpenTransaction is Log.OpenTransaction after what this round accepted.
func (t *Tentative) OpenTransaction(producerID int64) (firstOffset int64, epoch int16, ok bool) {
	p := t.get(producerID)
	return p.txnFirstOffset, p.epoch, p.txnFirstOffset != noOffset
}

// Install records an accepted batch or marker and returns the base offset it
// will get if the whole round is stored.
func (t *Tentative) Install(b record.Batch) (baseOffset int64, err error) {
	row, err := batchRow(b)
	if err != nil {
		return 0, fmt.Errorf("install in round: %w", err)
	}
	row.BaseOffset = t.next
	t.next = row.NextOffset()
	if row.ProducerID >= 0 {
		if t.own == nil {
			t.own = make(map[int64]producer)
		}
		p := t.get(row.ProducerID)
		p.apply(row)
		t.own[row.ProducerID] = p
	}
	return row.BaseOffset, nil
}

func (t *Tentative) get(id int64) producer {
	if p, ok := t.own[id]; ok {
		return p
	}
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	return t.log.state.producers.get(id)
}

// batchRow reads the row of a batch from its header; index, term and position
// are the caller's.
//
// Errors: ErrCorrupt from a control batch that holds no marker.
func batchRow(b record.Batch) (Row, error) {
	row := Row{
		Kind: KindBatch, Size: int32(b.Size()), BaseOffset: b.BaseOffset(), Count: b.LastOffsetDelta() + 1, CRC: b.CRC(),
		MaxTimestamp: b.MaxTimestamp(), ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(),
		BaseSequence: b.BaseSequence(), Attributes: b.Attributes(), CoordinatorEpoch: -1,
	}
	if row.Count < 1 {
		return Row{}, fmt.Errorf("last offset delta %d: %w", b.LastOffsetDelta(), ErrCorrupt)
	}
	if !row.IsControl() {
		return row, nil
	}
	control, isMarker, err := b.Control()
	if err != nil {
		return Row{}, fmt.Errorf("control batch: %w", err)
	}
	if isMarker {
		row.CoordinatorEpoch, row.Commit = control.CoordinatorEpoch, control.Commit
	}
	return row, nil
}
