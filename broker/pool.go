package broker

import (
	"math/bits"
	"sync"
)

// A bufferPool keeps byte slices by the power of two of their capacity. A
// buffer taken from it may hold old bytes. Any number of goroutines may use it.
type bufferPool struct {
	classes [bufferClasses]sync.Pool // of *[]byte
	holders sync.Pool                // of *[]byte that hold nothing, so that put makes none
}

const (
	// smallestClass is that of 4 KiB: smaller ones are not worth keeping.
	smallestClass = 12
	// bufferClasses covers 4 KiB to 16 MiB: a larger frame is rare, and its buffer
	// would outlive it by minutes.
	bufferClasses = 13
)

// get returns a buffer of length 0 with room for size bytes, or nil when none
// is kept: the caller then decides how to grow.
func (p *bufferPool) get(size int) []byte {
	class := classOf(size)
	if class >= bufferClasses {
		return nil
	}
	holder, ok := p.classes[class].Get().(*[]byte)
	if !ok {
		return nil
	}
	b := (*holder)[:0]
	*holder = nil
	p.holders.Put(holder)
	return b
}

// take is get that makes a new buffer when none is kept.
func (p *bufferPool) take(size int) []byte {
	if b := p.get(size); b != nil {
		return b
	}
	if class := classOf(size); class < bufferClasses {
		size = 1 << (class + smallestClass) // so that put finds it the same class
	}
	return make([]byte, 0, size)
}

// classOf is the smallest class whose buffers all have room for size bytes.
func classOf(size int) int {
	return max(0, bits.Len(uint(max(size, 1)-1))-smallestClass)
}

// put keeps b for later. The caller must not use it any more.
func (p *bufferPool) put(b []byte) {
	class := bits.Len(uint(cap(b))) - 1 - smallestClass
	if class < 0 || class >= bufferClasses {
		return
	}
	holder, ok := p.holders.Get().(*[]byte)
	if !ok {
		holder = new([]byte)
	}
	*holder = b
	p.classes[class].Put(holder)
}
