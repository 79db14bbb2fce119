package txn

import (
	"encoding/binary"
	"math"
)

// A reader takes Kafka's stored forms apart. It believes no length before it has
// seen the bytes: once it is cut short it stays so, and everything read is zero.
type reader struct {
	rest     []byte
	flexible bool // compact lengths and tagged fields (KIP-482)
	cut      bool
}

// take is the next n bytes, nil if there are fewer.
func (r *reader) take(n int) []byte {
	if r.cut || n < 0 || n > len(r.rest) {
		r.cut, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) int8() int8 {
	if b := r.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > math.MaxInt32 {
		r.take(-1)
		return 0
	}
	r.take(size)
	return n
}

func (r *reader) text() string {
	if r.flexible {
		return string(r.take(int(r.uvarint()) - 1))
	}
	return string(r.take(int(r.int16())))
}

// count is the length of an array, 0 for null. It is at most what the bytes that
// are left can hold, as an element has at least so many.
func (r *reader) count(elementBytes int) int {
	var n int
	if r.flexible {
		n = int(r.uvarint()) - 1
	} else {
		n = int(r.int32())
	}
	if n < -1 || n > len(r.rest)/elementBytes {
		r.take(-1)
	}
	if r.cut {
		return 0
	}
	return max(n, 0)
}

// tags is how many tagged fields follow.
func (r *reader) tags() int {
	if !r.flexible {
		return 0
	}
	n := int(r.uvarint())
	if n > len(r.rest) {
		r.take(-1)
	}
	if r.cut {
		return 0
	}
	return n
}

// tag is one tagged field.
func (r *reader) tag() (tag uint64, value reader) {
	tag = r.uvarint()
	value.rest = r.take(int(r.uvarint()))
	return tag, value
}
