package record

import "encoding/binary"

// Retain copies a stored batch with only the records that keep wants, for
// compaction. Offsets, sequence numbers, producer and codec stay, the last
// offset too, so that a batch without records still tells a producer's last
// sequence. deleteHorizon, in milliseconds, is set on a batch that has none
// (KIP-534); 0 for none. The batch itself comes back when nothing changes.
//
// Errors: ErrCorrupt. Source: org.apache.kafka.common.record.MemoryRecords.filterTo.
func (b Batch) Retain(keep func(Record) bool, deleteHorizon int64, buf *Buffers) (Batch, error) {
	base := b.BaseTimestamp()
	rebase := deleteHorizon > 0 && !b.HasDeleteHorizon()
	if rebase {
		base = deleteHorizon
	}
	var data []byte
	var kept int32
	maxTimestamp := int64(-1)
	for r, err := range b.Records(buf) {
		if err != nil {
			return nil, err
		}
		if !keep(r) {
			continue
		}
		kept++
		maxTimestamp = max(maxTimestamp, r.Timestamp)
		data = appendRecord(data, r, r.Timestamp-base, int32(r.Offset-b.BaseOffset()))
	}
	if kept == b.Count() && !rebase {
		return b, nil
	}
	out := b.with(data, b.Codec(), DefaultLevel)
	binary.BigEndian.PutUint64(out[baseTimestampAt:], uint64(base))
	binary.BigEndian.PutUint32(out[countAt:], uint32(kept))
	if rebase {
		out.setAttributes(uint16(out.Attributes()) | deleteHorizonBit)
	}
	if kept > 0 && !b.LogAppendTime() {
		out.setMaxTimestamp(maxTimestamp)
	}
	out.seal()
	return out, nil
}

// DeleteHorizon is the time in milliseconds from which on tombstones and
// markers of the batch may be removed, 0 when it is not set.
func (b Batch) DeleteHorizon() int64 {
	if !b.HasDeleteHorizon() {
		return 0
	}
	return b.BaseTimestamp()
}

// with is a copy of the batch around other records. An empty batch has no
// payload at all, whatever its codec.
func (b Batch) with(data []byte, codec int8, level int) Batch {
	if len(data) == 0 {
		codec = CodecNone
	}
	var out []byte
	if codec == CodecNone {
		out = append(make([]byte, HeaderSize, HeaderSize+len(data)), data...)
	} else {
		out = compress(make([]byte, HeaderSize, max(len(b), 2*HeaderSize)), data, codec, level)
	}
	copy(out, b[:HeaderSize])
	batch := Batch(out)
	binary.BigEndian.PutUint32(out[lengthAt:], uint32(len(out)-LogOverhead))
	batch.setAttributes(uint16(b.Attributes())&^codecMask | uint16(codec))
	batch.seal()
	return batch
}
