package txn

import (
	"encoding/binary"
	"math"
)

// walkable says that a stored value is as long as its own lengths say. kmsg
// believes a count before it has seen the bytes, so a damaged value would cost
// memory and time out of proportion; this costs neither.
func walkable(value []byte) bool {
	w := walker{rest: value, flexible: len(value) > 1 && value[1] > 0}
	w.skip(2 + 8 + 2 + 4 + 1)
	for range w.count(false) {
		w.skip(w.count(true))
		w.skip(4 * w.count(false))
		w.tags()
	}
	w.skip(8 + 8)
	w.tags()
	return !w.cut
}

// A walker steps over bytes. Once it was cut short it stays where it is.
type walker struct {
	rest     []byte
	flexible bool // version 1
	cut      bool
}

func (w *walker) skip(n int) {
	if n > len(w.rest) {
		w.cut, w.rest = true, nil
		return
	}
	w.rest = w.rest[n:]
}

// count reads the length of an array or a short string: 0 for null. It is at most
// the bytes that are left, as an element has at least one.
func (w *walker) count(short bool) int {
	var n int64
	switch {
	case w.flexible:
		n = int64(w.uvarint()) - 1
	case short && len(w.rest) >= 2:
		n = int64(int16(binary.BigEndian.Uint16(w.rest)))
		w.skip(2)
	case !short && len(w.rest) >= 4:
		n = int64(int32(binary.BigEndian.Uint32(w.rest)))
		w.skip(4)
	default:
		w.skip(4)
	}
	if n > int64(len(w.rest)) || n < -1 {
		w.cut, w.rest = true, nil
	}
	if w.cut {
		return 0
	}
	return int(max(n, 0))
}

func (w *walker) uvarint() uint32 {
	n, size := binary.Uvarint(w.rest)
	if size <= 0 || n > math.MaxInt32 {
		w.cut, w.rest = true, nil
		return 0
	}
	w.skip(size)
	return uint32(n)
}

func (w *walker) tags() {
	if !w.flexible {
		return
	}
	for n := w.uvarint(); n > 0 && !w.cut; n-- {
		w.uvarint()
		w.skip(int(w.uvarint()))
	}
}
