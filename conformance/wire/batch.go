package wire

import (
	"encoding/binary"
	"fmt"
)

// A Batch is what the header of a record batch says (KIP-98), and of a control
// batch its kind.
type Batch struct {
	BaseOffset    int64
	Records       int32
	LeaderEpoch   int32
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Codec         int8
	Transactional bool
	Control       string // "COMMIT" or "ABORT" of a control batch
	Problem       string // why no batch could be read here
}

const batchHeader = 61

// batches reads the headers of record batches; what is no batch ends it.
func batches(b []byte) []Batch {
	all := []Batch{}
	for len(b) > 0 {
		if len(b) < batchHeader || b[16] != 2 {
			return append(all, Batch{Problem: fmt.Sprintf("%d bytes are no batch of version 2", len(b))})
		}
		size := int64(int32(binary.BigEndian.Uint32(b[8:]))) + 12
		if size < batchHeader || size > int64(len(b)) {
			return append(all, Batch{Problem: fmt.Sprintf("%d bytes of a batch of %d", len(b), size)})
		}
		all = append(all, header(b[:size]))
		b = b[size:]
	}
	return all
}

func header(b []byte) Batch {
	attributes := binary.BigEndian.Uint16(b[21:])
	h := Batch{
		BaseOffset:    int64(binary.BigEndian.Uint64(b)),
		LeaderEpoch:   int32(binary.BigEndian.Uint32(b[12:])),
		Codec:         int8(attributes & 7),
		Transactional: attributes&(1<<4) != 0,
		ProducerID:    int64(binary.BigEndian.Uint64(b[43:])),
		ProducerEpoch: int16(binary.BigEndian.Uint16(b[51:])),
		BaseSequence:  int32(binary.BigEndian.Uint32(b[53:])),
		Records:       int32(binary.BigEndian.Uint32(b[57:])),
	}
	if attributes&(1<<5) != 0 {
		h.Control = controlKind(b[batchHeader:])
	}
	return h
}

// controlKind reads the key of a control record: a version and a type, 0 for
// an abort and 1 for a commit (KIP-98).
func controlKind(record []byte) string {
	at := 0
	varint := func() int64 {
		v, n := binary.Varint(record[min(at, len(record)):])
		at += max(n, 1)
		return v
	}
	varint() // length
	at++     // attributes
	varint() // timestamp delta
	varint() // offset delta
	if size := varint(); size < 4 || at+4 > len(record) {
		return "no key"
	}
	switch kind := binary.BigEndian.Uint16(record[at+2:]); kind {
	case 0:
		return "ABORT"
	case 1:
		return "COMMIT"
	default:
		return fmt.Sprintf("type %d", kind)
	}
}
