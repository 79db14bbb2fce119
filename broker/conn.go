package broker

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/oncelog/oncelog/protocol"
)

const (
	// readerSize lets a request header and body arrive in one read. A connection
	// has so much once it has sent a request that does not fit into smallReader:
	// a thousand that only said hello must not hold 64 MiB.
	readerSize  = 64 << 10
	smallReader = 1 << 10
	// quietAfter is how long nothing is asked before a connection is quiet.
	quietAfter = 5 * time.Second
	// watchAfter is how long a request may take before its connection is read
	// ahead to see whether the peer is still there.
	watchAfter = 100 * time.Millisecond
	// replySize is the first size of a reply buffer.
	replySize = 4 << 10
)

var errPeerGone = errors.New("the peer closed the connection")

// A conn serves one connection in one goroutine: a request is answered before
// the next is read, so that answers are in order and a peer that does not read
// them is not read from.
//
// While a request waits for longer than watchAfter, a second goroutine reads
// ahead; the two never use the reader at a time. A connection that is quiet
// gives its reader back, so that thousands of them cost little memory.
type conn struct {
	server *server
	net    net.Conn
	reader *bufio.Reader // nil while the connection is quiet
	head   []byte        // bytes that ended the quiet, not yet read
	info   *protocol.Conn

	ctx    context.Context
	cancel context.CancelCauseFunc

	born    time.Time
	began   time.Time // of waiting for this request
	largest int       // bytes of the largest frame that came, 0 before the first
	holds   bool      // bytes of server.held
	watch   *time.Timer
	watched chan struct{} // one message when the watcher ends
}

func newConn(s *server, c net.Conn, info *protocol.Conn) *conn {
	k := &conn{server: s, net: c, info: info, born: time.Now(), watched: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancelCause(s.ctx)
	k.cancel = cancel
	k.ctx = protocol.WithConn(ctx, info)
	k.watch = time.AfterFunc(time.Hour, k.watchPeer)
	k.watch.Stop()
	return k
}

// run serves until the peer leaves, breaks the protocol or is idle for too
// long, or the server closes. It returns why, nil for an ordinary end. A panic
// is a bug of ours; it ends this connection and no other.
func (c *conn) run() (err error) {
	defer c.cancel(errPeerGone)
	defer c.releaseReader()
	defer c.release()
	defer func() {
		if bug := panicked(recover()); bug != nil {
			err = bug
		}
	}()
	for !c.server.closing.Load() {
		frame, err := c.next()
		if err != nil {
			return ordinary(err)
		}
		err = c.answer(frame)
		c.server.buffers.put(frame)
		c.release()
		if err != nil {
			return err
		}
	}
	return nil
}

// ordinary turns the ways in which a connection may well end into nil.
func ordinary(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// next waits for a request and reads it into a pooled buffer.
func (c *conn) next() ([]byte, error) {
	c.began = time.Now()
	end := c.patience()
	prefix, err := c.await(end)
	if err != nil {
		return nil, c.late(err, len(prefix))
	}
	limit := c.server.settings().requestMaxBytes
	size := int32(binary.BigEndian.Uint32(prefix))
	var buf []byte
	if size > 0 && size <= limit {
		if buf, err = c.frameBuffer(int(size)); err != nil {
			return nil, err
		}
	}
	if c.reader.Buffered() < int(size)+len(prefix) {
		if err := c.deadline(end); err != nil {
			return nil, err
		}
	}
	frame, err := protocol.ReadFrame(c.reader, limit, buf, c.hold)
	c.largest = max(c.largest, len(frame))
	if c.holds {
		if refused := c.server.held.whole(c); refused != nil {
			return nil, refused
		}
	}
	return frame, c.late(err, len(prefix))
}

// hold counts the bytes of a larger request before there is memory for them.
func (c *conn) hold(size int) error {
	c.holds = true
	return c.server.held.take(c, size, c.server.settings().queuedMaxBytes)
}

func (c *conn) release() {
	if c.holds {
		c.holds = false
		c.server.held.release(c)
	}
}

// late says more of a request that did not come in time: a connection that was
// served and is idle may well end so.
func (c *conn) late(err error, came int) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) || c.server.closing.Load() || c.largest > 0 && came == 0 {
		return err
	}
	return fmt.Errorf("no whole request after %v, of this one came %d bytes or more: %w", time.Since(c.began), came, protocol.ErrClose)
}

// patience is when the next request must have come whole; zero is never.
func (c *conn) patience() time.Time {
	s := c.server.settings()
	end := after(s.connectionsMaxIdle)
	if first := c.born.Add(s.firstRequestMax); c.largest == 0 && (end.IsZero() || first.Before(end)) {
		return first
	}
	return end
}

// await returns the length prefix of the next frame, which it leaves in the
// reader. Quiet connections wait without one.
func (c *conn) await(end time.Time) ([]byte, error) {
	quiet := time.Now().Add(quietAfter)
	if !end.IsZero() && end.Before(quiet) {
		quiet = end
	}
	if c.reader != nil && c.reader.Buffered() == 0 && c.reader.Size() < c.readerFor() {
		c.releaseReader()
	}
	if c.reader == nil {
		c.takeReader()
	}
	if err := c.deadline(quiet); err != nil {
		return nil, err
	}
	prefix, err := c.reader.Peek(4)
	if !errors.Is(err, os.ErrDeadlineExceeded) || quiet.Equal(end) || c.server.closing.Load() {
		return prefix, err
	}
	if err := c.deadline(end); err != nil {
		return nil, err
	}
	if c.reader.Buffered() == 0 {
		c.releaseReader()
		var first [1]byte
		n, err := c.net.Read(first[:])
		if err != nil {
			return nil, err
		}
		c.head = first[:n]
		c.takeReader()
	}
	return c.reader.Peek(4)
}

// deadline bounds reading. While the server stops, nothing is read any more.
func (c *conn) deadline(at time.Time) error {
	if err := c.net.SetReadDeadline(at); err != nil {
		return err
	}
	if c.server.closing.Load() { // stop has set its own deadline, perhaps before ours
		return net.ErrClosed
	}
	return nil
}

// readers and smallReaders hold the *bufio.Readers of connections that are not
// quiet.
var (
	readers      = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readerSize) }}
	smallReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, smallReader) }}
)

// readerFor is the size that fits the requests that came so far.
func (c *conn) readerFor() int {
	if c.largest+4 > smallReader {
		return readerSize
	}
	return smallReader
}

func readersOf(size int) *sync.Pool {
	if size == smallReader {
		return &smallReaders
	}
	return &readers
}

func (c *conn) takeReader() {
	c.reader = readersOf(c.readerFor()).Get().(*bufio.Reader)
	c.reader.Reset(c)
}

func (c *conn) releaseReader() {
	if c.reader == nil {
		return
	}
	c.reader.Reset(nil)
	readersOf(c.reader.Size()).Put(c.reader)
	c.reader = nil
}

// Read is what the buffered reader reads.
func (c *conn) Read(b []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.net.Read(b)
}

// frameBuffer is a pooled buffer for a frame. Only a peer that has sent half as
// much at a time is given a new one of that size: a length alone takes no memory.
func (c *conn) frameBuffer(size int) ([]byte, error) {
	if size <= readerSize {
		return c.server.buffers.take(size), nil
	}
	if size > 2*c.largest {
		buf := c.server.buffers.get(size)
		if buf == nil {
			return nil, nil
		}
		return buf, c.hold(size)
	}
	if err := c.hold(size); err != nil {
		return nil, err
	}
	return c.server.buffers.take(size), nil
}

func after(d time.Duration) time.Time {
	if d < 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// answer serves one request and writes its reply with one Write.
func (c *conn) answer(frame []byte) error {
	began := time.Now()
	dst := c.server.buffers.take(replySize)
	reply, err := c.serve(frame, dst)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	c.server.observe(frame, time.Since(began))
	if reply == nil || cap(reply) != cap(dst) {
		c.server.buffers.put(dst)
	}
	if reply == nil {
		return nil
	}
	if idle := c.server.settings().connectionsMaxIdle; idle >= 0 {
		if err := c.net.SetWriteDeadline(time.Now().Add(idle)); err != nil {
			return ordinary(err)
		}
	}
	c.server.writing.Add(int64(len(reply)))
	_, err = c.net.Write(reply)
	c.server.writing.Add(-int64(len(reply)))
	c.server.buffers.put(reply)
	if err != nil {
		return fmt.Errorf("write a reply: %w", err)
	}
	return nil
}

// serve has the table answer, while the peer is watched. A panic ends the watch
// too.
func (c *conn) serve(frame, dst []byte) ([]byte, error) {
	c.watch.Reset(watchAfter)
	defer c.endWatch()
	return c.server.table.Serve(c.ctx, frame, dst)
}

// watchPeer reads ahead while a request waits, to end it when the peer leaves.
// It gives up when the reader is full of further requests.
func (c *conn) watchPeer() {
	defer func() { c.watched <- struct{}{} }()
	for c.reader.Buffered() < c.reader.Size() {
		_, err := c.reader.Peek(c.reader.Buffered() + 1)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			c.cancel(errPeerGone)
			return
		}
	}
}

// endWatch stops the watcher, if it was started, and waits for it.
func (c *conn) endWatch() {
	if c.watch.Stop() {
		return
	}
	// An error here is one that the next read reports.
	_ = c.net.SetReadDeadline(time.Unix(1, 0))
	<-c.watched
}
