// Package memnet is a network in memory, for tests: listeners and connections
// on which goroutines wait as a testing/synctest bubble needs it.
package memnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// A Network is a set of listeners and connections in memory. Goroutines wait in
// it on channels and conditions only, so it works in a synctest bubble. Any
// number of goroutines may use it.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*memListener
	nextPort  int
	cuts      map[direction]bool
	slow      map[direction]time.Duration
	changed   chan struct{} // closed and replaced when cuts change
	streams   map[*stream]struct{}
}

// A direction is from one host to another.
type direction struct{ from, to string }

// New makes a network without listeners.
func New() *Network {
	return &Network{
		listeners: map[string]*memListener{}, nextPort: 40000,
		cuts: map[direction]bool{}, slow: map[direction]time.Duration{}, changed: make(chan struct{}), streams: map[*stream]struct{}{},
	}
}

// A Host is one machine of the network: cuts are between hosts.
type Host struct {
	network *Network
	name    string
}

// Host gives a machine its door to the network.
func (n *Network) Host(name string) *Host { return &Host{n, name} }

// Cut holds back all that goes from one host to another, until Heal: bytes, the
// end of a connection and new connections. Like a cable that is pulled, it tells nobody.
func (n *Network) Cut(from, to string) { n.setCut(direction{from, to}, true) }

// Heal lets through what a Cut held back.
func (n *Network) Heal(from, to string) { n.setCut(direction{from, to}, false) }

func (n *Network) setCut(d direction, cut bool) {
	n.mu.Lock()
	if cut {
		n.cuts[d] = true
	} else {
		delete(n.cuts, d)
	}
	close(n.changed)
	n.changed = make(chan struct{})
	streams := make([]*stream, 0, len(n.streams))
	for s := range n.streams {
		streams = append(streams, s)
	}
	n.mu.Unlock()
	for _, s := range streams {
		s.wake()
	}
}

// Slow has bytes that are written from now on arrive so much later; 0: at once.
// What is slow or fast keeps its order.
func (n *Network) Slow(from, to string, delay time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow[direction{from, to}] = delay
}

func (n *Network) isCut(d direction) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cuts[d]
}

func (n *Network) delay(d direction) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.slow[d]
}

// Listen opens a listener of a host that is never cut off.
func (n *Network) Listen(network, address string) (net.Listener, error) {
	return n.Host("").Listen(network, address)
}

// Dial connects from a host that is never cut off.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.Host("").Dial(ctx, network, address)
}

// Listen opens a listener; port 0 is given a free port. It has the shape of
// net.Listen.
func (h *Host) Listen(network, address string) (net.Listener, error) {
	n := h.network
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, err
	}
	ip := net.ParseIP(host)
	if ip == nil {
		ip = net.IPv4(127, 0, 0, 1)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if port == 0 {
		n.nextPort++
		port = n.nextPort
	}
	addr := &net.TCPAddr{IP: ip, Port: port}
	if n.listeners[portKey(port)] != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: errors.New("address already in use")}
	}
	l := &memListener{network: n, host: h.name, addr: addr, accept: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[portKey(port)] = l
	return l, nil
}

func portKey(port int) string { return strconv.Itoa(port) }

// Dial connects to the listener on the address's port; the host may be any. It
// has the shape of net.Dialer.DialContext.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n := h.network
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if err := h.reach(ctx, port); err != nil {
		return nil, err
	}
	n.mu.Lock()
	l := n.listeners[port]
	n.nextPort++
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: n.nextPort}
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: connection refused", address)}
	}
	client, server := n.pipe(from, l.addr, h.name, l.host)
	select {
	case l.accept <- server:
		return client, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: network, Addr: l.addr, Err: errors.New("connection refused")}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// reach waits until nothing is cut between the host and the one on a port.
func (h *Host) reach(ctx context.Context, port string) error {
	n := h.network
	for {
		n.mu.Lock()
		l, changed := n.listeners[port], n.changed
		cut := l != nil && (n.cuts[direction{h.name, l.host}] || n.cuts[direction{l.host, h.name}])
		n.mu.Unlock()
		if !cut {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type memListener struct {
	network *Network
	host    string
	addr    *net.TCPAddr
	accept  chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, portKey(l.addr.Port))
		l.network.mu.Unlock()
		close(l.closed)
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return l.addr }

// maxBuffered is how many bytes one direction holds before a writer waits, as
// the socket buffers of a kernel do.
const maxBuffered = 256 << 10

// A stream is one direction of a connection.
type stream struct {
	network *Network
	way     direction

	mu     sync.Mutex
	moved  *sync.Cond // bytes, space, a close or a deadline
	data   []byte
	late   []arrival // of the end of data, in order
	ended  bool      // the writer closed: what is left may be read
	broken bool      // the reader closed: writing fails
}

func (n *Network) newStream(way direction) *stream {
	s := &stream{network: n, way: way}
	s.moved = sync.NewCond(&s.mu)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.streams[s] = struct{}{}
	return s
}

// An arrival is when bytes may be read that are on their way.
type arrival struct {
	bytes int
	at    time.Time
}

// arrived is how much of data may be read. Its caller holds mu.
func (s *stream) arrived() int {
	n, now := len(s.data), time.Now()
	for len(s.late) > 0 && !now.Before(s.late[0].at) {
		s.late = s.late[1:]
	}
	for _, a := range s.late {
		n -= a.bytes
	}
	return n
}

// travel holds back the last n bytes of data. Its caller holds mu.
func (s *stream) travel(n int) {
	at := time.Now().Add(s.network.delay(s.way))
	if last := len(s.late) - 1; last >= 0 && at.Before(s.late[last].at) {
		at = s.late[last].at
	}
	if wait := time.Until(at); wait > 0 {
		s.late = append(s.late, arrival{n, at})
		time.AfterFunc(wait, s.wake)
	}
}

// A deadline wakes the waiters of a stream when it passes. Its fields are
// guarded by the stream's mutex.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(s *stream, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	if wait := time.Until(at); !at.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, s.wake)
	}
	s.moved.Broadcast()
}

func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved.Broadcast()
}

// memConn is one end of a connection.
type memConn struct {
	local, remote net.Addr
	in, out       *stream
	read, write   deadline // of in and of out
	closed        bool     // guarded by in.mu
}

// pipe makes the two ends of a connection.
func (n *Network) pipe(client, server net.Addr, dialer, listener string) (net.Conn, net.Conn) {
	up, down := n.newStream(direction{dialer, listener}), n.newStream(direction{listener, dialer})
	return &memConn{local: client, remote: server, in: down, out: up}, &memConn{local: server, remote: client, in: up, out: down}
}

func (c *memConn) Read(b []byte) (int, error) {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.read.passed():
			return 0, os.ErrDeadlineExceeded
		case s.network.isCut(s.way): // nothing arrives
		case s.arrived() > 0:
			n := copy(b, s.data[:s.arrived()])
			s.data = s.data[n:]
			s.moved.Broadcast()
			return n, nil
		case s.ended && len(s.data) == 0:
			return 0, io.EOF
		case len(b) == 0:
			return 0, nil
		}
		s.moved.Wait()
	}
}

func (c *memConn) Write(b []byte) (int, error) {
	s := c.out
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for {
		switch {
		case s.ended:
			return written, net.ErrClosed
		case s.broken:
			return written, io.ErrClosedPipe
		case c.write.passed():
			return written, os.ErrDeadlineExceeded
		}
		if room := maxBuffered - len(s.data); room > 0 {
			n := min(room, len(b)-written)
			s.data = append(s.data, b[written:written+n]...)
			s.travel(n)
			written += n
			s.moved.Broadcast()
		}
		if written == len(b) {
			return written, nil
		}
		s.moved.Wait()
	}
}

// Close ends both directions. What was written may still be read by the peer.
func (c *memConn) Close() error {
	c.read.set(c.in, time.Time{})
	c.write.set(c.out, time.Time{})
	c.in.mu.Lock()
	c.closed, c.in.broken = true, true
	c.in.data, c.in.late = nil, nil
	c.in.moved.Broadcast()
	c.in.mu.Unlock()
	c.out.mu.Lock()
	c.out.ended = true
	c.out.moved.Broadcast()
	c.out.mu.Unlock()
	c.in.network.forget(c.in)
	return nil
}

// forget drops a stream that nobody reads any more.
func (n *Network) forget(s *stream) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.streams, s)
}

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) SetDeadline(t time.Time) error {
	c.read.set(c.in, t)
	c.write.set(c.out, t)
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.read.set(c.in, t)
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.write.set(c.out, t)
	return nil
}
