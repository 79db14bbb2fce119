// Package shardtest has a shard.Partition in memory, for tests of views: it
// assigns offsets, loses and regains leadership, and fails or holds appends on
// demand. It has no goroutine and no clock, so it works in a synctest bubble.
package shardtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
)

// A Fault is what befalls one append.
type Fault int

const (
	// Refused: the append ends in an error that says nothing was stored.
	Refused Fault = iota + 1
	// Lost: the append ends in an error that says nothing, and is not stored.
	Lost
	// Stored: the append ends in the same error, but is stored and committed.
	Stored
)

// ErrInjected is in every error of a Fault and of FailReads.
var ErrInjected = errors.New("injected fault")

// A Partition is one replica in memory, the leader of epoch 1 at first.
type Partition struct {
	mu      sync.Mutex
	role    shard.Leadership
	batches []record.Batch
	start   int64
	end     int64
	hw      int64
	frozen  bool // the high watermark stands still
	faults  []Fault
	held    chan struct{} // not nil: appends wait until it is closed
	waiting int           // appends held
	moved   chan struct{}
	reads   int
	broken  int // the next so many reads fail
}

var _ shard.Partition = (*Partition)(nil)

// New returns an empty partition that this node leads, ready, at epoch 1.
func New() *Partition {
	return &Partition{role: shard.Leadership{Leading: true, Ready: true, Epoch: 1}, moved: make(chan struct{})}
}

// change runs fn under the lock and then wakes the waiters of Moved.
func (p *Partition) change(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
	close(p.moved)
	p.moved = make(chan struct{})
}

// Elect makes this node the leader of a later epoch, its barrier pending.
func (p *Partition) Elect(epoch int32) {
	p.change(func() { p.role = shard.Leadership{Leading: true, Epoch: epoch} })
}

// Barrier commits the leader's barrier, and with it the whole log.
func (p *Partition) Barrier() {
	p.change(func() { p.role.Ready, p.hw = p.role.Leading, p.end })
}

// Lead is Elect and Barrier.
func (p *Partition) Lead(epoch int32) {
	p.Elect(epoch)
	p.Barrier()
}

// Follow takes the leadership away: another node leads at epoch.
func (p *Partition) Follow(epoch int32) {
	p.change(func() { p.role = shard.Leadership{Epoch: epoch} })
}

// Fail makes the next appends of the shard meet these faults, one each.
func (p *Partition) Fail(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, faults...)
}

// ClearFaults forgets the faults that no append has met yet.
func (p *Partition) ClearFaults() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// Hold makes appends wait, before they are stored, until release is called.
func (p *Partition) Hold() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := make(chan struct{})
	p.held = held
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.held == held {
			p.held = nil
		}
		close(held)
	})
}

// Held is the number of appends that wait for the release of Hold.
func (p *Partition) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}

// Freeze keeps the high watermark where it is, so that appends wait for their
// commit, until thaw is called.
func (p *Partition) Freeze() (thaw func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
	return func() { p.change(func() { p.frozen, p.hw = false, p.end }) }
}

// Truncate drops what is not committed, as a new leader without it does. It is
// called between Follow and Elect.
func (p *Partition) Truncate() {
	p.change(func() {
		for len(p.batches) > 0 && p.batches[len(p.batches)-1].BaseOffset() >= p.hw {
			p.batches = p.batches[:len(p.batches)-1]
		}
		p.end = p.hw
	})
}

// Put appends as somebody else than the shard would, such as a transaction
// marker, and returns the base offset.
func (p *Partition) Put(batch record.Batch) (baseOffset int64) {
	p.change(func() { baseOffset = p.store(batch) })
	return baseOffset
}

// Skip leaves a hole of n offsets, as compaction does.
func (p *Partition) Skip(n int64) {
	p.change(func() {
		p.end += n
		if !p.frozen {
			p.hw = p.end
		}
	})
}

// Trim moves the log start offset and drops the batches wholly below it.
func (p *Partition) Trim(start int64) {
	p.change(func() {
		p.start = max(p.start, start)
		for len(p.batches) > 0 && p.batches[0].NextOffset() <= p.start {
			p.batches = p.batches[1:]
		}
	})
}

// FailReads makes the next n reads of the log fail, as a disk does for a while.
func (p *Partition) FailReads(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = n
}

// Reads is how often the log was read.
func (p *Partition) Reads() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reads
}

// Batches are the stored batches, for looking at.
func (p *Partition) Batches() []record.Batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]record.Batch(nil), p.batches...)
}

// store assigns offsets. The caller holds the lock.
func (p *Partition) store(batch record.Batch) (baseOffset int64) {
	baseOffset = p.end
	batch.SetBaseOffset(baseOffset)
	batch.SetLeaderEpoch(p.role.Epoch)
	p.batches = append(p.batches, batch)
	p.end = batch.NextOffset()
	if !p.frozen {
		p.hw = p.end
	}
	return baseOffset
}

// Fence says whether this node, though it leads, may have been replaced.
func (p *Partition) Fence(fenced bool) {
	p.change(func() { p.role.Fenced = fenced })
}

// Leadership implements shard.Partition.
func (p *Partition) Leadership() shard.Leadership {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.role
}

// StartOffset implements shard.Partition.
func (p *Partition) StartOffset() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.start
}

// HighWatermark implements shard.Partition.
func (p *Partition) HighWatermark() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hw
}

// EndOffset implements shard.Partition.
func (p *Partition) EndOffset() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// Moved implements shard.Partition.
func (p *Partition) Moved() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.moved
}

// Guard implements shard.Partition; nothing destroys these guards.
func (p *Partition) Guard(producerID int64) shard.Guard { return producerID }

// Append implements shard.Partition.
func (p *Partition) Append(ctx context.Context, batch record.Batch, opts shard.AppendOptions) (int64, error) {
	if err := p.wait(ctx); err != nil {
		return -1, err
	}
	var base int64
	var err error
	p.change(func() { base, err = p.append(batch, opts) })
	if err != nil {
		return -1, err
	}
	return base, p.commit(ctx, batch.NextOffset(), opts.Epoch)
}

// wait parks the append while Hold is on.
func (p *Partition) wait(ctx context.Context) error {
	p.mu.Lock()
	held := p.held
	if held != nil {
		p.waiting++
	}
	p.mu.Unlock()
	if held == nil {
		return nil
	}
	defer func() {
		p.mu.Lock()
		p.waiting--
		p.mu.Unlock()
	}()
	select {
	case <-held:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// append judges and stores. The caller holds the lock.
func (p *Partition) append(batch record.Batch, opts shard.AppendOptions) (int64, error) {
	if !p.role.Leading || p.role.Epoch != opts.Epoch {
		return -1, fmt.Errorf("epoch %d, want %d: %w: %w", opts.Epoch, p.role.Epoch, shard.ErrRefused, kerr.NotLeaderForPartition)
	}
	var fault Fault
	if len(p.faults) > 0 {
		fault, p.faults = p.faults[0], p.faults[1:]
	}
	switch fault {
	case Refused:
		return -1, fmt.Errorf("%w: %w: %w", ErrInjected, shard.ErrRefused, kerr.NotEnoughReplicas)
	case Lost:
		return -1, fmt.Errorf("%w: %w", ErrInjected, kerr.NotLeaderForPartition)
	case Stored:
		p.store(batch)
		return -1, fmt.Errorf("%w: %w", ErrInjected, kerr.NotLeaderForPartition)
	default:
		return p.store(batch), nil
	}
}

// commit waits until the high watermark passes the batch.
func (p *Partition) commit(ctx context.Context, next int64, epoch int32) error {
	for {
		p.mu.Lock()
		hw, role, moved := p.hw, p.role, p.moved
		p.mu.Unlock()
		if hw >= next {
			return nil
		}
		if !role.Leading || role.Epoch != epoch {
			return fmt.Errorf("leadership lost: %w", kerr.NotLeaderForPartition)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Read implements shard.Partition. It scribbles over what dst held, so that a
// view that kept bytes of an earlier batch is found out.
func (p *Partition) Read(dst []byte, from, upTo int64, maxBytes int) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	if p.broken > 0 {
		p.broken--
		return dst, fmt.Errorf("read [%d, %d): %w: %w", from, upTo, ErrInjected, kerr.KafkaStorageError)
	}
	if from < p.start || upTo > p.end {
		return dst, fmt.Errorf("read [%d, %d) of [%d, %d): %w", from, upTo, p.start, p.end, kerr.OffsetOutOfRange)
	}
	rest := dst[len(dst):cap(dst)]
	for i := range rest {
		rest[i] = 0xdb
	}
	size := 0
	for _, b := range p.batches {
		if b.NextOffset() <= from || b.NextOffset() > upTo || (size > 0 && size+len(b) > maxBytes) {
			if size > 0 {
				break
			}
			continue
		}
		dst = append(dst, b...)
		size += len(b)
	}
	return dst, nil
}
