package shard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/oncelog/oncelog/protocol/record"
)

const (
	// readBytes is how much of the log is read at a time.
	readBytes = 1 << 20
	// keepBytes is the largest buffer that a shard keeps between reads: most
	// shards read much once, while loading, and little ever after.
	keepBytes = 64 << 10
)

// A replay is a view and how far it has come.
//
// turn is held by the one goroutine that reads the log and applies, and owns the
// fields up to persist; mu is the view lock, held for Apply and for whoever looks
// at the view, never over disk.
type replay[V View] struct {
	over    chan struct{} // closed when the view is dropped
	turn    chan struct{} // capacity 1
	buf     []byte        // owned by the holder of turn
	buffers record.Buffers
	records []record.Record // of the batch being applied
	applied int64           // offset after the last applied batch
	broken  error           // why the log could not be applied; ends this view
	persist func(view V, next int64) error

	next atomic.Int64 // offset up to which the log is applied and persisted
	mu   sync.Mutex
	view V
}

func newReplay[V View](view V, start int64, persist func(V, int64) error) *replay[V] {
	r := &replay[V]{over: make(chan struct{}), turn: make(chan struct{}, 1), view: view, persist: persist}
	if own, ok := any(view).(Resumer); ok {
		start = own.Resume()
	}
	r.applied = start
	r.next.Store(start)
	return r
}

// advance brings the view to the high watermark of this moment, at least.
func (r *replay[V]) advance(ctx context.Context, p Partition) error {
	target := p.HighWatermark()
	for r.next.Load() < target {
		select {
		case r.turn <- struct{}{}:
		case <-r.over:
			return errDropped
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		err := r.read(ctx, p)
		<-r.turn
		if err != nil {
			return err
		}
	}
	return nil
}

// drop keeps the turn for good, so that nothing is applied any more.
func (r *replay[V]) drop() {
	close(r.over)
	r.turn <- struct{}{}
}

// dropped says that the view is being dropped.
func (r *replay[V]) dropped() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// read applies everything up to the high watermark, and says so in next once it
// is persisted too. The caller holds the turn.
func (r *replay[V]) read(ctx context.Context, p Partition) error {
	if r.broken != nil {
		return r.broken
	}
	err := r.readUpTo(ctx, p, p.HighWatermark())
	if r.persist != nil && r.applied != r.next.Load() {
		if failed := r.persist(r.view, r.applied); failed != nil {
			r.broken = fmt.Errorf("%w: persist: %w", errUnreadable, failed)
		}
	}
	if r.broken != nil {
		return r.broken
	}
	r.next.Store(r.applied)
	if cap(r.buf) > keepBytes {
		r.buf, r.records = nil, nil
	}
	return err
}

// readUpTo applies what lies below upTo. An error in r.broken is for good, any
// other may pass.
func (r *replay[V]) readUpTo(ctx context.Context, p Partition, upTo int64) error {
	for r.applied < upTo {
		switch {
		case r.dropped():
			return errDropped
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		from := max(r.applied, p.StartOffset())
		got, err := p.Read(r.buf[:0], from, upTo, readBytes)
		if err != nil {
			if from < p.StartOffset() {
				continue // the log start moved meanwhile
			}
			return fmt.Errorf("read from offset %d: %w", from, err)
		}
		if r.buf = got; len(got) == 0 {
			r.applied = upTo // only holes up to there
			break
		}
		if err := r.install(got, from); err != nil {
			r.broken = fmt.Errorf("%w: %w", errUnreadable, err)
			return r.broken
		}
	}
	return nil
}

// install decodes and applies the batches in b, leaving out records below from.
func (r *replay[V]) install(b []byte, from int64) error {
	for len(b) > 0 {
		raw, err := record.Peek(b)
		if err != nil {
			return fmt.Errorf("batch at offset %d: %w", r.applied, err)
		}
		b = b[raw.Size():]
		batch, err := r.decode(raw, from)
		if err != nil {
			return fmt.Errorf("batch at offset %d: %w", raw.BaseOffset(), err)
		}
		if err := r.apply(batch); err != nil {
			return fmt.Errorf("apply batch at offset %d: %w", raw.BaseOffset(), err)
		}
		r.applied = batch.NextOffset
	}
	return nil
}

func (r *replay[V]) apply(b Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view.Apply(b)
}

func (r *replay[V]) decode(raw record.Batch, from int64) (Batch, error) {
	b := Batch{
		BaseOffset:    raw.BaseOffset(),
		NextOffset:    raw.NextOffset(),
		Timestamp:     raw.MaxTimestamp(),
		ProducerID:    raw.ProducerID(),
		ProducerEpoch: raw.ProducerEpoch(),
		Transactional: raw.IsTransactional(),
	}
	if b.NextOffset <= r.applied {
		return b, errors.New("offsets do not rise")
	}
	if raw.IsControl() {
		marker, ok, err := raw.Control()
		if err != nil {
			return b, err
		}
		if ok {
			b.Control = &marker
		}
		return b, nil
	}
	r.records = r.records[:0]
	for rec, err := range raw.Records(&r.buffers) {
		if err != nil {
			return b, err
		}
		if rec.Offset >= from {
			r.records = append(r.records, rec)
		}
	}
	b.Records = r.records
	return b, nil
}
