package transport

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/oncelog/oncelog/protocol"
)

// A kind says what a frame carries.
type kind uint8

const (
	kindAppend kind = 1 + iota
	kindVote
	kindPreVote
	kindTimeoutNow
	kindInstall
	kindHeartbeats
	kindPing
	kindCall
	kindAnswer
	kindRefusal // the text of an error
	kindNotOpen // ErrNotOpen
)

// A class is what a connection is for.
type class uint8

const (
	control class = iota
	data
	classes           // those that stand between two nodes
	visit   = classes // one call of a node that may be no peer; see Mesh.Visit
)

func (c class) String() string { return [...]string{"control", "data", "visit"}[c] }

// A frame is 4 bytes length of what follows, 1 byte kind, 8 bytes request id,
// 24 bytes group, then the body. docs/format/peer.md has the byte boxes.
const (
	headerSize = 4 + 1 + 8 + groupSize
	groupSize  = 16 + 4 + 4

	// maxControl and maxData bound the body of a frame. An append carries at
	// least one entry, which may be a batch as large as a request may be.
	maxControl = 8 << 20
	maxData    = 128 << 20
)

type header struct {
	size  int // of the body
	kind  kind
	id    uint64
	group Group
}

func (h header) put(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(headerSize-4+h.size))
	b = append(b, byte(h.kind))
	b = binary.BigEndian.AppendUint64(b, h.id)
	return h.group.put(b)
}

func (g Group) put(b []byte) []byte {
	b = append(b, g.TopicID[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(g.Partition))
	return binary.BigEndian.AppendUint32(b, g.Generation)
}

func groupOf(b []byte) (g Group) {
	copy(g.TopicID[:], b)
	g.Partition = int32(binary.BigEndian.Uint32(b[16:]))
	g.Generation = binary.BigEndian.Uint32(b[20:])
	return g
}

// A conn is one connection after its handshake. One goroutine reads it. Writers
// take the turn, so a frame is never torn by another.
type conn struct {
	net.Conn
	class class
	r     *bufio.Reader
	turn  chan struct{} // holds one token: the right to write

	once sync.Once
	done chan struct{} // closed with the connection
	err  error         // why; readable once done is closed
}

// newReader reads a connection from its first byte on: the greeting may have the
// first frame behind it.
func newReader(c net.Conn) *bufio.Reader { return bufio.NewReaderSize(c, readBuffer) }

// readBuffer holds the small frames; larger bodies are read past it.
const readBuffer = 64 << 10

func newConn(c net.Conn, r *bufio.Reader, class class) *conn {
	return &conn{Conn: c, class: class, r: r, turn: make(chan struct{}, 1), done: make(chan struct{})}
}

// close ends the connection; the first reason counts.
func (c *conn) close(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.done)
		_ = c.Conn.Close() // nothing was promised to who reads it
	})
}

// write sends one frame, whose body is parts. They may be used again when it
// returns. A frame that is written in part ends the connection. A peer that reads
// nothing is found silent, which ends it too.
func (c *conn) write(h header, parts ...[]byte) error {
	h.size = 0
	for _, p := range parts {
		h.size += len(p)
	}
	if limit := c.limit(); h.size > limit {
		return fmt.Errorf("frame of %d bytes on the %v connection, at most %d are allowed", h.size, c.class, limit)
	}
	select {
	case c.turn <- struct{}{}:
	case <-c.done:
		return c.err
	}
	defer func() { <-c.turn }()
	var head [headerSize]byte
	buffers := make(net.Buffers, 0, 1+len(parts))
	buffers = append(buffers, h.put(head[:0]))
	buffers = append(buffers, parts...)
	if _, err := buffers.WriteTo(c.Conn); err != nil {
		c.close(fmt.Errorf("%w: %w", ErrUnreachable, err))
		return c.err
	}
	return nil
}

func (c *conn) limit() int {
	if c.class == data {
		return maxData
	}
	return maxControl
}

// bodies are the buffers of received frames.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// A body is the bytes of one received frame, to be given back once.
type body struct{ bytes *[]byte }

func (b body) release() {
	if cap(*b.bytes) <= maxPooled {
		bodies.Put(b.bytes)
	}
}

// maxPooled is the largest buffer that is kept for another frame.
const maxPooled = 8 << 20

// read returns the next frame. Its body is allocated as its bytes arrive.
func (c *conn) read() (header, body, error) {
	var fixed [headerSize]byte
	if _, err := io.ReadFull(c.r, fixed[:]); err != nil {
		return header{}, body{}, err
	}
	size := int64(binary.BigEndian.Uint32(fixed[:])) - (headerSize - 4)
	if size < 0 || size > int64(c.limit()) {
		return header{}, body{}, fmt.Errorf("frame with a body of %d bytes on the %v connection, want 0 to %d", size, c.class, c.limit())
	}
	h := header{size: int(size), kind: kind(fixed[4]), id: binary.BigEndian.Uint64(fixed[5:]), group: groupOf(fixed[13:])}
	b := body{bodies.Get().(*[]byte)}
	read, err := protocol.ReadBody(c.r, h.size, *b.bytes, nil)
	if err != nil {
		return header{}, body{}, err
	}
	*b.bytes = read
	return h, b, nil
}
