package broker

import "encoding/binary"

// An encoder appends Kafka's types, compact ones where flexible (KIP-482).
type encoder struct {
	b        []byte
	flexible bool
	named    []int32 // brokers that were named as leaders
}

func (e *encoder) int16(v int16) { e.b = binary.BigEndian.AppendUint16(e.b, uint16(v)) }
func (e *encoder) int32(v int32) { e.b = binary.BigEndian.AppendUint32(e.b, uint32(v)) }
func (e *encoder) int64(v int64) { e.b = binary.BigEndian.AppendUint64(e.b, uint64(v)) }

func (e *encoder) uvarint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }

// count begins an array; -1 is null.
func (e *encoder) count(n int) {
	if e.flexible {
		e.uvarint(uint64(n + 1))
	} else {
		e.int32(int32(n))
	}
}

func (e *encoder) string(s string) {
	if e.flexible {
		e.uvarint(uint64(len(s) + 1))
	} else {
		e.int16(int16(len(s)))
	}
	e.b = append(e.b, s...)
}

// tags appends an empty tag section.
func (e *encoder) tags() {
	if e.flexible {
		e.b = append(e.b, 0)
	}
}

// pairTag appends a tag section with one struct of fixed size in it.
func (e *encoder) pairTag(tag byte, body func()) {
	e.b = append(e.b, 1, tag, 0)
	at := len(e.b)
	body()
	e.tags()
	e.b[at-1] = byte(len(e.b) - at)
}

// nullable appends a string that may be nil.
func (e *encoder) nullable(s *string) {
	switch {
	case s != nil:
		e.string(*s)
	case e.flexible:
		e.b = append(e.b, 0)
	default:
		e.int16(-1)
	}
}
