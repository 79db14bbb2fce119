package proxy

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/oncelog/oncelog/protocol"
)

const (
	// headSize holds any header but one of great tags: a client id takes 32 KiB at most.
	headSize = 34 << 10
	// uncounted is a frame that is not worth asking the budget for.
	uncounted = 64 << 10
	// patience is how long a peer may take for the next bytes within a frame.
	patience = time.Minute
	// writeSize is how much is written under one patience.
	writeSize = 256 << 10
)

// A side is one end of a session: its reader belongs to one goroutine at a time.
type side struct {
	net.Conn
	in     *bufio.Reader
	within bool // a frame: the rest of it is waited for with patience only
}

func newSide(c net.Conn) *side {
	s := &side{Conn: c}
	s.in = bufio.NewReaderSize(timed{s}, headSize)
	return s
}

// timed reads with the deadline of what is being read.
type timed struct{ *side }

func (t timed) Read(b []byte) (int, error) {
	if t.within {
		if err := t.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return 0, err
		}
	}
	return t.Conn.Read(b)
}

// begin waits for a frame and gives its size and its first bytes, which stay in
// the reader.
func (s *side) begin(least, most int32) (size int, head []byte, err error) {
	prefix, err := s.in.Peek(4)
	if err != nil {
		return 0, nil, err
	}
	n := int32(binary.BigEndian.Uint32(prefix))
	if n < least || n > most {
		return 0, nil, fmt.Errorf("frame of %d bytes, want %d to %d: %w", n, least, most, protocol.ErrClose)
	}
	s.within = true
	all, err := s.in.Peek(min(4+int(n), headSize))
	if err != nil {
		return 0, nil, noEOF(err)
	}
	return int(n), all[4:], nil
}

// end says that a frame was read to its end.
func (s *side) end() error {
	s.within = false
	return s.SetReadDeadline(time.Time{})
}

// noEOF is for a stream that ends within a frame.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// pass copies a frame that has begun to another side.
func (s *side) pass(to *side, size int) error {
	if _, err := io.CopyN(to, s.in, int64(4+size)); err != nil {
		return noEOF(err)
	}
	return s.end()
}

// whole reads a frame that has begun, with its length.
func (s *side) whole(size int) ([]byte, error) {
	frame, err := protocol.ReadBody(s.in, 4+size, nil, nil)
	if err != nil {
		return nil, err
	}
	return frame, s.end()
}

// Write writes with patience for each piece.
func (s *side) Write(b []byte) (written int, err error) {
	for len(b) > 0 && err == nil {
		if err = s.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return written, err
		}
		var n int
		n, err = s.Conn.Write(b[:min(len(b), writeSize)])
		written, b = written+n, b[n:]
	}
	return written, err
}

// hold waits until the budget has room for a frame; release gives it back.
func (p *Proxy) hold(ctx context.Context, size int) (release func(), err error) {
	if size <= uncounted {
		return func() {}, nil
	}
	if err := p.held.Acquire(ctx, int64(size)); err != nil {
		return nil, err
	}
	return func() { p.held.Release(int64(size)) }, nil
}
