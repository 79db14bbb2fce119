package replication

import (
	"hash/crc32"

	"github.com/oncelog/oncelog/protocol/record"
)

// A seenBatch is what was shown as committed at an offset.
type seenBatch struct {
	ackKey
	crc   uint32 // the batch's own
	whole uint32 // of all its bytes
}

func seenOf(b record.Batch) seenBatch {
	return seenBatch{ackKey{b.ProducerID(), b.BaseSequence()}, b.CRC(), crc32.ChecksumIEEE(b)}
}

// sample remembers what a replica shows as committed. It must never differ.
func (f *fuzz) sample(p *Partition, from, hw int64) int64 {
	from = max(from, p.StartOffset())
	bytes, err := p.Log().Read(nil, from, hw, 1<<20, true)
	if err != nil {
		return from // closed or truncated under us; the next time will do
	}
	for len(bytes) > 0 {
		b, err := record.Peek(bytes)
		if err != nil || b.Checksum() != b.CRC() {
			f.violation("node %d shows a broken batch at %d", p.node.cfg.NodeID, from)
			return hw
		}
		now := seenOf(b)
		f.mu.Lock()
		before, known := f.seen[b.BaseOffset()]
		f.seen[b.BaseOffset()] = now
		f.mu.Unlock()
		if known && before != now {
			f.violation("node %d: committed offset %d changed", p.node.cfg.NodeID, b.BaseOffset())
		}
		from = b.NextOffset()
		bytes = bytes[b.Size():]
	}
	return from
}

// judgeLogs checks the final logs: equal bytes, no gap, each acked batch once.
func (f *fuzz) judgeLogs() {
	lead := f.leader()
	if lead == nil {
		return
	}
	whole, err := lead.Log().Read(nil, lead.StartOffset(), lead.HighWatermark(), 1<<30, true)
	if err != nil {
		f.violation("read the leader: %v", err)
		return
	}
	for _, id := range f.members {
		p := f.partition(id)
		if p == nil {
			continue
		}
		other, err := p.Log().Read(nil, lead.StartOffset(), p.HighWatermark(), 1<<30, true)
		if err != nil || string(other) != string(whole) {
			f.violation("node %d differs from the leader below the high watermark: %d and %d bytes, %v", id, len(other), len(whole), err)
		}
	}
	if !f.judgeOrder(lead.StartOffset(), whole) {
		return
	}
	found := make(map[ackKey]ackedBatch)
	for offset, b := range f.seen {
		if b.producer < 0 {
			continue
		}
		if other, twice := found[b.ackKey]; twice {
			f.violation("producer %d: sequence %d is there twice, at %d and %d", b.producer, b.sequence, other.offset, offset)
		}
		found[b.ackKey] = ackedBatch{offset, b.crc}
	}
	for key, want := range f.acked {
		got, ok := found[key]
		switch {
		case !ok && want.offset < lead.StartOffset():
			f.count.unseen++
		case !ok || got != want:
			f.violation("producer %d: sequence %d acked at %+v, found at %+v (%v)", key.producer, key.sequence, want, got, ok)
		}
	}
}

// judgeOrder checks what the leader has: no offset and no sequence is left out.
// All of it counts as seen.
func (f *fuzz) judgeOrder(offset int64, whole []byte) bool {
	next, deleted := make(map[int64]int32), offset > 0
	for len(whole) > 0 {
		b, err := record.Peek(whole)
		if err != nil || b.Checksum() != b.CRC() || b.BaseOffset() != offset {
			f.violation("broken batch at offset %d: %v", offset, err)
			return false
		}
		if before, known := f.seen[offset]; known && before != seenOf(b) {
			f.violation("committed offset %d changed", offset)
		}
		f.seen[offset] = seenOf(b)
		offset, whole = b.NextOffset(), whole[b.Size():]
		if b.ProducerID() < 0 {
			continue
		}
		want, known := next[b.ProducerID()]
		if (known || !deleted) && b.BaseSequence() != want {
			f.violation("producer %d: sequence %d at offset %d, want %d", b.ProducerID(), b.BaseSequence(), b.BaseOffset(), want)
		}
		next[b.ProducerID()] = b.LastSequence() + 1
	}
	return true
}
