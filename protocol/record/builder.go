package record

import (
	"encoding/binary"
	"fmt"
)

// BuilderOptions says what the header of a built batch holds. Use
// NoProducer() for a batch that belongs to no idempotent producer.
type BuilderOptions struct {
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Codec         int8
	// LogAppendTime, when > 0, is the broker's append time in milliseconds
	// that all records get (message.timestamp.type=LogAppendTime).
	LogAppendTime int64
	BaseOffset    int64
	LeaderEpoch   int32
	// KeepOffsets takes the records' own offsets, which must rise from
	// BaseOffset; otherwise they count up from it.
	KeepOffsets bool

	control bool
}

// NoProducer is the options of a batch outside of idempotence: id, epoch and
// sequence are -1.
func NoProducer() BuilderOptions {
	return BuilderOptions{ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1, LeaderEpoch: -1}
}

// A Builder encodes records into one batch. It serves one goroutine, and one
// batch: Build ends it.
type Builder struct {
	options BuilderOptions
	buf     []byte
	count   int32
	last    int32 // offset delta of the last record
	baseTs  int64
	maxTs   int64
}

// NewBuilder starts a batch.
func NewBuilder(options BuilderOptions) *Builder {
	return &Builder{options: options, buf: make([]byte, HeaderSize, 256), last: -1, maxTs: -1}
}

// Append adds a record; its bytes are copied. It panics when KeepOffsets is set
// and offsets do not rise, which is the caller's bug.
func (b *Builder) Append(r Record) {
	delta := b.last + 1
	if b.options.KeepOffsets {
		own := r.Offset - b.options.BaseOffset
		if own < int64(delta) || own != int64(int32(own)) {
			panic(fmt.Sprintf("record: offset %d does not follow offset delta %d from %d", r.Offset, b.last, b.options.BaseOffset))
		}
		delta = int32(own)
	}
	if b.count == 0 {
		b.baseTs = r.Timestamp
	}
	b.maxTs = max(b.maxTs, r.Timestamp)
	b.buf = appendRecord(b.buf, r, r.Timestamp-b.baseTs, delta)
	b.last = delta
	b.count++
}

// Len is the size of the batch so far, before compression, in bytes.
func (b *Builder) Len() int { return len(b.buf) }

// Count is the number of records so far.
func (b *Builder) Count() int32 { return b.count }

// Build finishes the batch.
func (b *Builder) Build() Batch {
	o := b.options
	buf := b.buf
	if o.Codec != CodecNone {
		buf = compress(make([]byte, HeaderSize, HeaderSize+len(buf)/2), buf[HeaderSize:], o.Codec, DefaultLevel)
	}
	attributes := uint16(o.Codec) & codecMask
	if o.LogAppendTime > 0 {
		attributes |= logAppendTimeBit
		b.maxTs = o.LogAppendTime
	}
	if o.Transactional {
		attributes |= transactionalBit
	}
	if o.control {
		attributes |= controlBit
	}
	binary.BigEndian.PutUint64(buf[offsetAt:], uint64(o.BaseOffset))
	binary.BigEndian.PutUint32(buf[lengthAt:], uint32(len(buf)-LogOverhead))
	binary.BigEndian.PutUint32(buf[leaderEpochAt:], uint32(o.LeaderEpoch))
	buf[magicAt] = magicV2
	binary.BigEndian.PutUint16(buf[attributesAt:], attributes)
	binary.BigEndian.PutUint32(buf[lastOffsetDeltaAt:], uint32(b.last))
	binary.BigEndian.PutUint64(buf[baseTimestampAt:], uint64(b.baseTs))
	binary.BigEndian.PutUint64(buf[maxTimestampAt:], uint64(b.maxTs))
	binary.BigEndian.PutUint64(buf[producerIDAt:], uint64(o.ProducerID))
	binary.BigEndian.PutUint16(buf[producerEpochAt:], uint16(o.ProducerEpoch))
	binary.BigEndian.PutUint32(buf[baseSequenceAt:], uint32(o.BaseSequence))
	binary.BigEndian.PutUint32(buf[countAt:], uint32(b.count))
	batch := Batch(buf)
	batch.seal()
	return batch
}

// seal writes the checksum.
func (b Batch) seal() { binary.BigEndian.PutUint32(b[crcAt:], b.Checksum()) }

// appendRecord encodes one record. Source: DefaultRecord.writeTo.
func appendRecord(dst []byte, r Record, timestampDelta int64, offsetDelta int32) []byte {
	size := 1 + varintSize(timestampDelta) + varintSize(int64(offsetDelta)) +
		bytesSize(r.Key) + bytesSize(r.Value) + varintSize(int64(len(r.Headers)))
	for _, h := range r.Headers {
		size += varintSize(int64(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	dst = binary.AppendVarint(dst, int64(size))
	dst = append(dst, 0) // attributes
	dst = binary.AppendVarint(dst, timestampDelta)
	dst = binary.AppendVarint(dst, int64(offsetDelta))
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	dst = binary.AppendVarint(dst, int64(len(r.Headers)))
	for _, h := range r.Headers {
		dst = binary.AppendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

// varintSize is how many bytes the zigzag varint of v takes.
func varintSize(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
