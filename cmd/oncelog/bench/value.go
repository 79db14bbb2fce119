package bench

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// headerSize is what the value of each record begins with: run (8 bytes),
// producer (4), flags (4), sequence (8), due (8, nanoseconds since the run began).
const headerSize = 32

const (
	flagAborted = 1 << iota // of a transaction that is to be aborted
	flagLast                // the last of its transaction
)

// A stamp is what a record says of itself.
type stamp struct {
	producer int32
	flags    uint32
	sequence int64 // of its producer in its partition, aborted ones counted apart
	due      time.Duration
}

// A form makes the values of one run and knows them again.
type form struct {
	run  uint64
	size int
	rest []byte // what follows the header, the same in every record
}

func newForm(run uint64, size int) *form {
	f := &form{run: run, size: size, rest: make([]byte, size-headerSize)}
	// Hexadecimal digits: codecs halve them, about as much as they do usual text.
	const digits = "0123456789abcdef"
	random := rand.New(rand.NewPCG(run, 1))
	for i := range f.rest {
		f.rest[i] = digits[random.Uint32N(16)]
	}
	return f
}

// value is a buffer for a record whose header is yet to be put.
func (f *form) value() []byte {
	b := make([]byte, f.size)
	copy(b[headerSize:], f.rest)
	return b
}

func (f *form) put(b []byte, s stamp) {
	binary.BigEndian.PutUint64(b, f.run)
	binary.BigEndian.PutUint32(b[8:], uint32(s.producer))
	binary.BigEndian.PutUint32(b[12:], s.flags)
	binary.BigEndian.PutUint64(b[16:], uint64(s.sequence))
	binary.BigEndian.PutUint64(b[24:], uint64(s.due))
}

// parse reads a record of this run. ours says that it is one at all; whole that
// it is as it was written.
func (f *form) parse(b []byte) (s stamp, ours, whole bool) {
	if len(b) < headerSize || binary.BigEndian.Uint64(b) != f.run {
		return s, false, false
	}
	s = stamp{
		producer: int32(binary.BigEndian.Uint32(b[8:])), flags: binary.BigEndian.Uint32(b[12:]),
		sequence: int64(binary.BigEndian.Uint64(b[16:])), due: time.Duration(binary.BigEndian.Uint64(b[24:])),
	}
	return s, true, bytes.Equal(b[headerSize:], f.rest)
}
