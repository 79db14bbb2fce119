// Package wire records what goes over connections to a Kafka-compatible
// broker, and tells it as decoded requests and answers without their secrets.
//
// Recording keeps bytes and nothing more; they are decoded only when somebody
// asks, so that a run in which all is well pays little.
package wire

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"
)

const (
	maxFrame    = 256 << 10 // bytes of one frame that are kept
	maxRecorder = 16 << 20  // bytes that one recorder keeps
)

// A Recorder keeps the frames of the connections that it dials, in the order
// in which they were sent and received. The zero value is ready, and a nil
// Recorder dials and keeps nothing.
//
// Any goroutine may use it and its connections.
type Recorder struct {
	mu      sync.Mutex
	started time.Time
	frames  []frame
	bytes   int
	conns   int
	dropped int // frames beyond maxRecorder
}

// A frame is one request or answer as it was on the wire, without its length.
type frame struct {
	at      time.Duration
	conn    int
	addr    string
	answer  bool
	retried bool
	size    int // bytes it had; raw may hold fewer
	raw     []byte
}

// DialContext dials as a net.Dialer does; the connection is recorded. It is
// what kgo.Dialer wants.
func (r *Recorder) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, addr)
	if err != nil || r == nil {
		return nc, err
	}
	return r.Wrap(nc, addr), nil
}

// Wrap records what is read from and written to a connection.
func (r *Recorder) Wrap(nc net.Conn, addr string) net.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns++
	c := &recorded{Conn: nc}
	number := r.conns
	c.out.emit = func(raw []byte, size int) { r.keep(number, addr, false, raw, size) }
	c.in.emit = func(raw []byte, size int) { r.keep(number, addr, true, raw, size) }
	return c
}

// keep takes one frame.
func (r *Recorder) keep(conn int, addr string, answer bool, raw []byte, size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes+len(raw) > maxRecorder {
		r.dropped++
		return
	}
	if r.started.IsZero() {
		r.started = time.Now()
	}
	r.bytes += len(raw)
	r.frames = append(r.frames, frame{at: time.Since(r.started), conn: conn, addr: addr, answer: answer, size: size, raw: raw})
}

// Mark is how many frames there are; see Retried.
func (r *Recorder) Mark() int {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.frames)
}

// Retried marks all frames since a Mark as those of an attempt that was made
// again.
func (r *Recorder) Retried(mark int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := mark; i < len(r.frames); i++ {
		r.frames[i].retried = true
	}
}

// recorded is a connection whose bytes pass by two splitters.
type recorded struct {
	net.Conn
	mu      sync.Mutex // of the two splitters
	in, out splitter
}

func (c *recorded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	c.in.feed(b[:n])
	c.mu.Unlock()
	return n, err
}

func (c *recorded) Write(b []byte) (int, error) {
	// Before the write: the answer must not be recorded before its request.
	c.mu.Lock()
	c.out.feed(b)
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// A splitter cuts a stream of bytes into frames.
type splitter struct {
	emit func(raw []byte, size int)
	head []byte // of the length, while it is not whole
	size int
	left int // bytes of the frame that are still to come
	raw  []byte
	lost bool // a length made no sense: what follows is one frame a piece
}

func (s *splitter) feed(b []byte) {
	for len(b) > 0 {
		if s.lost {
			s.emit(append([]byte(nil), b[:min(len(b), maxFrame)]...), len(b))
			return
		}
		if s.left == 0 {
			n := min(len(b), 4-len(s.head))
			s.head, b = append(s.head, b[:n]...), b[n:]
			if len(s.head) < 4 {
				return
			}
			s.begin()
			continue
		}
		n := min(len(b), s.left)
		s.raw = append(s.raw, b[:min(n, maxFrame-len(s.raw))]...)
		s.left -= n
		b = b[n:]
		if s.left == 0 {
			s.emit(s.raw, s.size)
		}
	}
}

// begin takes the length of the next frame.
func (s *splitter) begin() {
	size := int32(binary.BigEndian.Uint32(s.head))
	switch {
	case size < 0:
		s.lost = true
		s.emit(append([]byte(nil), s.head...), len(s.head))
	case size == 0:
		s.emit(nil, 0)
	default:
		s.size, s.left, s.raw = int(size), int(size), nil
	}
	s.head = s.head[:0]
}
