package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A shape is how a message, or a structure within one, lies on the wire at one
// version. Walking a body along its shape before kmsg decodes it costs no
// allocation and answers what kmsg 1.15 leaves open: an array length is checked
// against one byte per element only, so a frame of n bytes may make it allocate
// n structures at each level of nesting; a length below -1 counts as null; bytes
// after the body are ignored; and a tag count of 2^32 is counted through.
type shape struct {
	fields   []field // positional, in wire order
	tagged   []field // by tag (KIP-482)
	flexible bool    // ends with a tag section; strings and arrays are compact
	minBytes int     // the least that it takes on the wire
}

type kind uint8

const (
	kindFixed  kind = iota
	kindString      // length of 16 bits, or compact
	kindBytes       // length of 32 bits, or compact
	kindArray
	kindStruct
	kindNullableStruct // a byte says whether it is there
)

// field is one field of a structure, or the element of an array.
type field struct {
	kind  kind
	tag   uint32
	size  int    // kindFixed: bytes on the wire
	elem  *field // kindArray
	width int    // kindArray: bytes of one decoded element in memory
	inner *shape // kindStruct, kindNullableStruct
}

// What decoding may allocate besides copies of strings: the bytes of decoded
// structures are bounded by decodedFloor + decodedFactor per byte of the body,
// and by decodedMax.
const (
	decodedFloor  = 1 << 20
	decodedFactor = 8
	decodedMax    = 64 << 20
	// unknownTagBytes is what kmsg keeps for a tag that it does not know.
	unknownTagBytes = 64
)

var (
	errCut      = errors.New("ends within a field")
	errLength   = errors.New("length below -1")
	errString   = errors.New("string of more than 32767 bytes")
	errTrailing = errors.New("bytes after the last field")
	errDecoded  = errors.New("too many elements for its size")
)

// check walks a whole body. It returns the bytes of structures that decoding
// would allocate.
func (s *shape) check(body []byte) (decoded int, err error) {
	room := min(decodedMax, decodedFloor+decodedFactor*len(body))
	w := walker{rest: body, room: room}
	w.structure(s)
	if w.err == nil && len(w.rest) > 0 {
		w.err = errTrailing
	}
	if w.err != nil {
		return 0, fmt.Errorf("%w: at byte %d of %d", w.err, len(body)-len(w.rest), len(body))
	}
	return room - w.room, nil
}

// A walker keeps the first error; after it all methods do nothing.
type walker struct {
	rest []byte
	room int // bytes of decoded structures that are left
	err  error
}

func (w *walker) structure(s *shape) {
	for i := range s.fields {
		if w.err != nil {
			return
		}
		w.field(&s.fields[i], s.flexible)
	}
	if s.flexible {
		w.tags(s)
	}
}

func (w *walker) field(f *field, flexible bool) {
	switch f.kind {
	case kindFixed:
		w.skip(f.size)
	case kindString:
		size := w.length(2, flexible)
		if size > math.MaxInt16 { // a compact length could say more; Kafka closes too
			w.fail(errString)
			return
		}
		w.skip(size)
	case kindBytes:
		w.skip(w.length(4, flexible))
	case kindArray:
		w.array(f, flexible)
	case kindStruct:
		w.structure(f.inner)
	case kindNullableStruct:
		if len(w.rest) == 0 {
			w.fail(errCut)
			return
		}
		present := int8(w.rest[0]) >= 0
		if w.skip(1); present {
			w.structure(f.inner)
		}
	}
}

func (w *walker) array(f *field, flexible bool) {
	count := w.length(4, flexible)
	if count > len(w.rest)/max(1, f.elem.least(flexible)) {
		w.fail(errCut)
		return
	}
	if w.room -= count * f.width; w.room < 0 {
		w.fail(errDecoded)
		return
	}
	if f.elem.kind == kindFixed {
		w.skip(count * f.elem.size)
		return
	}
	for ; count > 0 && w.err == nil; count-- {
		w.field(f.elem, flexible)
	}
}

// tags walks a tag section. Tags that kmsg knows are decoded by it, so they
// are walked too, each within its own size.
func (w *walker) tags(s *shape) {
	for count := w.uvarint(); count > 0 && w.err == nil; count-- {
		tag, size := w.uvarint(), int(w.uvarint())
		if w.err != nil || size > len(w.rest) {
			w.fail(errCut)
			return
		}
		f := s.byTag(tag)
		if f == nil {
			if w.room -= unknownTagBytes; w.room < 0 {
				w.fail(errDecoded)
			}
			w.skip(size)
			continue
		}
		after := w.rest[size:]
		w.rest = w.rest[:size]
		w.field(f, true)
		if w.err == nil && len(w.rest) > 0 {
			w.fail(errTrailing)
			return
		}
		w.rest = after
	}
}

func (s *shape) byTag(tag uint32) *field {
	for i := range s.tagged {
		if s.tagged[i].tag == tag {
			return &s.tagged[i]
		}
	}
	return nil
}

// length reads the length of a string, byte field or array; null gives 0.
func (w *walker) length(size int, flexible bool) int {
	if flexible {
		return max(0, int(w.uvarint())-1)
	}
	if len(w.rest) < size {
		w.fail(errCut)
		return 0
	}
	n := int(int16(binary.BigEndian.Uint16(w.rest)))
	if size == 4 {
		n = int(int32(binary.BigEndian.Uint32(w.rest)))
	}
	w.rest = w.rest[size:]
	if n < -1 {
		w.fail(errLength)
	}
	return max(0, n)
}

func (w *walker) uvarint() uint32 {
	if w.err != nil {
		return 0
	}
	value, rest, ok := uvarint(w.rest)
	if !ok {
		w.fail(errCut)
		return 0
	}
	w.rest = rest
	return value
}

func (w *walker) skip(n int) {
	if n > len(w.rest) {
		w.fail(errCut)
		return
	}
	w.rest = w.rest[n:]
}

func (w *walker) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// least is the smallest size of the field on the wire, in bytes.
func (f *field) least(flexible bool) int {
	switch {
	case f.kind == kindFixed:
		return f.size
	case f.kind == kindStruct:
		return f.inner.minBytes
	case f.kind == kindNullableStruct || flexible:
		return 1
	case f.kind == kindString:
		return 2
	}
	return 4
}
