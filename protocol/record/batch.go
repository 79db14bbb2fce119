// Package record holds the record batch v2 of Kafka (KIP-98): a header view
// that never decodes records, strict validation, control batches and a builder.
//
// It knows bytes and rules about bytes; it holds no state and opens no file.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// Sizes in bytes. Source: org.apache.kafka.common.record.DefaultRecordBatch.
const (
	// LogOverhead is the base offset and the length, which the length does not count.
	LogOverhead = 12
	// HeaderSize is everything before the first record.
	HeaderSize = 61
)

// Positions of the header fields within a batch.
const (
	offsetAt          = 0
	lengthAt          = 8
	leaderEpochAt     = 12
	magicAt           = 16
	crcAt             = 17
	attributesAt      = 21
	lastOffsetDeltaAt = 23
	baseTimestampAt   = 27
	maxTimestampAt    = 35
	producerIDAt      = 43
	producerEpochAt   = 51
	baseSequenceAt    = 53
	countAt           = 57
)

// Attribute bits of a batch.
const (
	codecMask        = 0x07
	logAppendTimeBit = 0x08
	transactionalBit = 0x10
	controlBit       = 0x20
	deleteHorizonBit = 0x40
)

// magicV2 is the only format that Kafka 4 writes or accepts.
const magicV2 = 2

// ErrShort says that the bytes end before the batch does.
var ErrShort = errors.New("record batch is cut short")

// ErrCorrupt says that the bytes cannot be a record batch.
var ErrCorrupt = errors.New("record batch is corrupt")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Batch is one whole encoded record batch. Its methods read or patch the
// header in place; none of them decodes a record.
type Batch []byte

// Peek returns the first batch of b without copying.
//
// Errors: ErrShort when more bytes are needed, ErrCorrupt when length or magic
// cannot be right. The checksum is not looked at.
func Peek(b []byte) (Batch, error) {
	if len(b) < HeaderSize {
		return nil, ErrShort
	}
	batch := Batch(b)
	if batch.Length() < HeaderSize-LogOverhead || batch.Length() > math.MaxInt32-LogOverhead {
		return nil, fmt.Errorf("batch length %d, want at least %d: %w", batch.Length(), HeaderSize-LogOverhead, ErrCorrupt)
	}
	if batch.Magic() != magicV2 {
		return nil, fmt.Errorf("batch magic %d, want %d: %w", batch.Magic(), magicV2, ErrCorrupt)
	}
	if batch.Size() > len(b) {
		return nil, ErrShort
	}
	return batch[:batch.Size()], nil
}

// BaseOffset is the offset of the first record.
func (b Batch) BaseOffset() int64 { return int64(binary.BigEndian.Uint64(b[offsetAt:])) }

// Length counts the bytes that follow the length field.
func (b Batch) Length() int32 { return int32(binary.BigEndian.Uint32(b[lengthAt:])) }

// Size is the whole batch in bytes, as its length field says.
func (b Batch) Size() int { return LogOverhead + int(b.Length()) }

// LeaderEpoch is the epoch of the leader that appended the batch.
func (b Batch) LeaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[leaderEpochAt:])) }

// Magic is the format version, 2.
func (b Batch) Magic() int8 { return int8(b[magicAt]) }

// CRC is the stored CRC-32C of everything from the attributes on.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[crcAt:]) }

// Checksum computes what CRC should be.
func (b Batch) Checksum() uint32 { return crc32.Checksum(b[attributesAt:], castagnoli) }

// Attributes are the raw attribute bits.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[attributesAt:])) }

// LastOffsetDelta is the last record's offset minus the base offset.
func (b Batch) LastOffsetDelta() int32 {
	return int32(binary.BigEndian.Uint32(b[lastOffsetDeltaAt:]))
}

// LastOffset is the offset of the last record.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset is the offset after the last record.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// BaseTimestamp is in milliseconds of the Unix epoch; record timestamps are
// deltas to it. With a delete horizon it holds that horizon instead.
func (b Batch) BaseTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[baseTimestampAt:])) }

// MaxTimestamp is the largest record timestamp in milliseconds, or the append
// time where the batch says LogAppendTime.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[maxTimestampAt:])) }

// ProducerID is -1 for a batch of no idempotent producer.
func (b Batch) ProducerID() int64 { return int64(binary.BigEndian.Uint64(b[producerIDAt:])) }

// ProducerEpoch is -1 for a batch of no idempotent producer.
func (b Batch) ProducerEpoch() int16 { return int16(binary.BigEndian.Uint16(b[producerEpochAt:])) }

// BaseSequence is the sequence number of the first record, -1 for none.
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[baseSequenceAt:])) }

// LastSequence is the sequence number of the last record; sequences count
// modulo 2^31. It is -1 for a batch without a sequence.
func (b Batch) LastSequence() int32 {
	if b.BaseSequence() < 0 {
		return -1
	}
	return AddSequence(b.BaseSequence(), b.LastOffsetDelta())
}

// AddSequence adds n >= 0 to a sequence number modulo 2^31.
func AddSequence(sequence, n int32) int32 {
	return int32((int64(sequence) + int64(n)) & math.MaxInt32)
}

// Count is the number of records.
func (b Batch) Count() int32 { return int32(binary.BigEndian.Uint32(b[countAt:])) }

// Codec is the compression: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
func (b Batch) Codec() int8 { return int8(b.Attributes() & codecMask) }

// LogAppendTime says that timestamps are the broker's append time.
func (b Batch) LogAppendTime() bool { return b.Attributes()&logAppendTimeBit != 0 }

// IsTransactional says that the records belong to a transaction.
func (b Batch) IsTransactional() bool { return b.Attributes()&transactionalBit != 0 }

// IsControl says that the batch holds a control record, such as a marker.
func (b Batch) IsControl() bool { return b.Attributes()&controlBit != 0 }

// HasDeleteHorizon says that the base timestamp is a delete horizon (KIP-534).
func (b Batch) HasDeleteHorizon() bool { return b.Attributes()&deleteHorizonBit != 0 }

// SetBaseOffset patches the base offset, which the checksum does not cover.
func (b Batch) SetBaseOffset(offset int64) {
	binary.BigEndian.PutUint64(b[offsetAt:], uint64(offset))
}

// SetLeaderEpoch patches the leader epoch, which the checksum does not cover.
func (b Batch) SetLeaderEpoch(epoch int32) {
	binary.BigEndian.PutUint32(b[leaderEpochAt:], uint32(epoch))
}
