package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

var errRecord = errors.New("record is cut short")

// A stored batch is one batch as a fetch returned it.
type stored struct {
	baseOffset    int64
	lastOffset    int64
	leaderEpoch   int32
	producerID    int64
	producerEpoch int16
	baseSequence  int32
	transactional bool
	control       bool
	maxTimestamp  int64
	codec         int
	values        []string // none of a compressed batch
	marker        marker   // of a control batch
}

// A marker is the control record that ends a transaction on one partition.
type marker struct {
	version          int16 // of the key
	commit           bool
	coordinatorEpoch int32
}

// readBatches reads the whole batches at the front of b; a last one that is
// cut short by the size limit of the fetch is left out.
func readBatches(b []byte) ([]stored, error) {
	var all []stored
	for len(b) >= batchHeader {
		size := int(int32(binary.BigEndian.Uint32(b[atLength:]))) + 12
		if size < batchHeader {
			return all, fmt.Errorf("batch of %d bytes", size)
		}
		if size > len(b) {
			break
		}
		s, err := readBatch(b[:size])
		if err != nil {
			return all, err
		}
		all = append(all, s)
		b = b[size:]
	}
	return all, nil
}

// readBatch reads one whole batch, of a compressed one the header.
func readBatch(b []byte) (stored, error) {
	attributes := binary.BigEndian.Uint16(b[atAttributes:])
	s := stored{
		baseOffset:    int64(binary.BigEndian.Uint64(b)),
		leaderEpoch:   int32(binary.BigEndian.Uint32(b[atLeaderEpoch:])),
		producerID:    int64(binary.BigEndian.Uint64(b[atProducerID:])),
		producerEpoch: int16(binary.BigEndian.Uint16(b[atProducerEpoch:])),
		baseSequence:  int32(binary.BigEndian.Uint32(b[atBaseSequence:])),
		maxTimestamp:  int64(binary.BigEndian.Uint64(b[atMaxTimestamp:])),
		transactional: attributes&attributeTransactional != 0,
		control:       attributes&attributeControl != 0,
		codec:         int(attributes & 7),
	}
	s.lastOffset = s.baseOffset + int64(int32(binary.BigEndian.Uint32(b[atLastOffsetDelta:])))
	if b[atMagic] != 2 {
		return s, fmt.Errorf("magic %d at offset %d", b[atMagic], s.baseOffset)
	}
	if got, want := crc32.Checksum(b[atAttributes:], castagnoli), binary.BigEndian.Uint32(b[atCRC:]); got != want {
		return s, fmt.Errorf("CRC %08x at offset %d, its header says %08x", got, s.baseOffset, want)
	}
	if s.codec != 0 {
		return s, nil
	}
	rest := b[batchHeader:]
	for range int32(binary.BigEndian.Uint32(b[atCount:])) {
		key, value, after, err := readRecord(rest)
		if err != nil {
			return s, fmt.Errorf("batch at offset %d: %w", s.baseOffset, err)
		}
		rest = after
		if !s.control {
			s.values = append(s.values, string(value))
			continue
		}
		if len(key) < 4 || len(value) < 6 {
			return s, fmt.Errorf("control record at offset %d: key of %d bytes, value of %d", s.baseOffset, len(key), len(value))
		}
		s.marker = marker{
			version:          int16(binary.BigEndian.Uint16(key)),
			commit:           binary.BigEndian.Uint16(key[2:]) == 1,
			coordinatorEpoch: int32(binary.BigEndian.Uint32(value[2:])),
		}
	}
	return s, nil
}

// readRecord reads the key and value of the record at the front of b.
func readRecord(b []byte) (key, value, after []byte, err error) {
	size, n := binary.Varint(b)
	if n <= 0 || size < 1 || size > int64(len(b)-n) {
		return nil, nil, nil, errRecord
	}
	body, after := b[n+1:n+int(size)], b[n+int(size):]
	for range 2 { // timestamp and offset delta
		_, n := binary.Varint(body)
		if n <= 0 {
			return nil, nil, nil, errRecord
		}
		body = body[n:]
	}
	if key, body, err = readBytes(body); err != nil {
		return nil, nil, nil, err
	}
	value, _, err = readBytes(body)
	return key, value, after, err
}

// readBytes reads one nullable field with a varint length.
func readBytes(b []byte) (field, after []byte, err error) {
	size, n := binary.Varint(b)
	if n <= 0 || size > int64(len(b)-n) {
		return nil, nil, errRecord
	}
	if size < 0 {
		return nil, b[n:], nil
	}
	return b[n : n+int(size)], b[n+int(size):], nil
}
