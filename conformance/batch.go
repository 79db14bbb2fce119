package conformance

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// Offsets of the fields of a v2 record batch (KIP-98), in bytes.
const (
	batchHeader       = 61
	atLength          = 8
	atLeaderEpoch     = 12
	atMagic           = 16
	atCRC             = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57
)

const (
	attributeTransactional = 1 << 4
	attributeControl       = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A batch says what one record batch to send holds. The zero value with one
// value is a batch of no producer only with ProducerID, ProducerEpoch and
// BaseSequence at -1; see plain.
type batch struct {
	producerID    int64
	producerEpoch int16
	baseSequence  int32
	transactional bool
	control       bool
	timestamp     int64 // ms, of the first record; 0 is now
	values        []string
	key           string           // of every record; "" is null
	edit          func(raw []byte) // bends the bytes before the CRC is made
	spoil         func(raw []byte) // bends the bytes after it
}

// plain is a batch of no producer.
func plain(values ...string) batch {
	return batch{producerID: -1, producerEpoch: -1, baseSequence: -1, values: values}
}

// encode builds the bytes of the batch. Its records are a millisecond apart,
// and none is old: a marker carries the time of the broker, and Kafka starts
// a new segment when times are a week apart.
func (b batch) encode() []byte {
	first := b.timestamp
	if first == 0 {
		first = time.Now().UnixMilli() - int64(len(b.values))
	}
	last := int64(len(b.values) - 1)
	raw := make([]byte, batchHeader)
	var attributes uint16
	if b.transactional {
		attributes |= attributeTransactional
	}
	if b.control {
		attributes |= attributeControl
	}
	binary.BigEndian.PutUint32(raw[atLeaderEpoch:], ^uint32(0))
	raw[atMagic] = 2
	binary.BigEndian.PutUint16(raw[atAttributes:], attributes)
	binary.BigEndian.PutUint32(raw[atLastOffsetDelta:], uint32(last))
	binary.BigEndian.PutUint64(raw[atBaseTimestamp:], uint64(first))
	binary.BigEndian.PutUint64(raw[atMaxTimestamp:], uint64(first+last))
	binary.BigEndian.PutUint64(raw[atProducerID:], uint64(b.producerID))
	binary.BigEndian.PutUint16(raw[atProducerEpoch:], uint16(b.producerEpoch))
	binary.BigEndian.PutUint32(raw[atBaseSequence:], uint32(b.baseSequence))
	binary.BigEndian.PutUint32(raw[atCount:], uint32(len(b.values)))
	for i, v := range b.values {
		raw = appendRecord(raw, int64(i), b.key, v)
	}
	binary.BigEndian.PutUint32(raw[atLength:], uint32(len(raw)-12))
	if b.edit != nil {
		b.edit(raw)
	}
	binary.BigEndian.PutUint32(raw[atCRC:], crc32.Checksum(raw[atAttributes:], castagnoli))
	if b.spoil != nil {
		b.spoil(raw)
	}
	return raw
}

// appendRecord appends one record with the same delta for offset and time.
func appendRecord(dst []byte, delta int64, key, value string) []byte {
	body := []byte{0}
	body = binary.AppendVarint(body, delta)
	body = binary.AppendVarint(body, delta)
	if key == "" {
		body = binary.AppendVarint(body, -1)
	} else {
		body = binary.AppendVarint(body, int64(len(key)))
		body = append(body, key...)
	}
	body = binary.AppendVarint(body, int64(len(value)))
	body = append(body, value...)
	body = binary.AppendVarint(body, 0)
	dst = binary.AppendVarint(dst, int64(len(body)))
	return append(dst, body...)
}
