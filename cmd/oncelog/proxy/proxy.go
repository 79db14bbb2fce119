package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/oncelog/oncelog/broker/fault"
)

// Config of a Proxy.
type Config struct {
	Upstream []string // brokers to begin with, host:port
	Listen   string   // where clients begin, host:port; brokers are on the ports that follow. Port 0: free ones
	// Advertise is the host that clients are told; "": where they reached the proxy.
	Advertise string
	Faults    *fault.Set // nil: none
	MaxFrame  int32      // bytes of one request or answer; 0: 128 MiB
	MaxHeld   int64      // bytes of all frames that are held at once; 0: 512 MiB
	Logger    *slog.Logger

	// The doors to the network; nil: TCP.
	Listener func(network, address string) (net.Listener, error)
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	maxConns  = 4096
	maxNodes  = 1000
	maxTopics = 200_000
	// dialTime bounds how long a client waits for a broker to be reached.
	dialTime = 10 * time.Second
	// acceptPause is how long to wait after a failed accept, such as too many
	// open files, before the next.
	acceptPause = 50 * time.Millisecond
)

// A Proxy serves until it is closed. Any goroutine may use it.
type Proxy struct {
	config Config
	logger *slog.Logger
	faults *fault.Set
	held   *semaphore.Weighted
	first  net.Listener // where clients begin

	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	lastConn atomic.Int64
	watchers atomic.Pointer[[]*Watcher]

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	nodes  map[int32]*node
	topics map[[16]byte]string // names of topic ids, as Metadata told them
	slow   map[*overtaking]struct{}
}

// A node is one broker, and where the proxy stands for it.
type node struct {
	upstream string
	listener net.Listener
}

// Open begins to listen.
func Open(config Config) (*Proxy, error) {
	if len(config.Upstream) == 0 {
		return nil, errors.New("no upstream broker is named")
	}
	if config.Listener == nil {
		config.Listener = net.Listen
	}
	if config.Dial == nil {
		config.Dial = new(net.Dialer).DialContext
	}
	config.MaxFrame = cmp.Or(config.MaxFrame, 128<<20)
	config.MaxHeld = cmp.Or(config.MaxHeld, 512<<20)
	if config.MaxHeld < int64(config.MaxFrame) {
		return nil, fmt.Errorf("%d bytes may be held, want at least the %d of one frame", config.MaxHeld, config.MaxFrame)
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Faults == nil {
		config.Faults = new(fault.Set)
	}
	first, err := config.Listener("tcp", config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for clients: %w", err)
	}
	p := &Proxy{
		config: config, logger: config.Logger, faults: config.Faults, held: semaphore.NewWeighted(config.MaxHeld), first: first,
		conns: map[net.Conn]struct{}{}, nodes: map[int32]*node{}, topics: map[[16]byte]string{}, slow: map[*overtaking]struct{}{},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(func() { p.accept(first, -1) })
	return p, nil
}

// Address is where clients begin.
func (p *Proxy) Address() string { return p.first.Addr().String() }

// Close ends all connections and waits for whoever serves them.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.cancel()
	errs := []error{p.first.Close()}
	for _, n := range p.nodes {
		errs = append(errs, n.listener.Close())
	}
	for c := range p.conns {
		_ = c.Close() // its session tells
	}
	p.mu.Unlock()
	p.wg.Wait()
	return errors.Join(errs...)
}

// accept serves the connections of one listener; id is -1 for the first one.
func (p *Proxy) accept(l net.Listener, id int32) {
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			p.wg.Go(func() { p.serve(c, id) })
		case p.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default:
			p.logger.Warn("accept failed", "error", err)
			if pause(p.ctx, acceptPause) != nil {
				return
			}
		}
	}
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serve carries one client's connection.
func (p *Proxy) serve(c net.Conn, id int32) {
	defer p.drop(c)
	if err := p.keep(c); err != nil {
		p.logger.Warn("connection refused", "peer", c.RemoteAddr(), "error", err)
		return
	}
	up, id, err := p.reach(p.ctx, id)
	if err != nil {
		p.logger.Warn("no broker is reached", "peer", c.RemoteAddr(), "error", err)
		return
	}
	defer p.drop(up)
	if p.keep(up) != nil {
		return
	}
	s := newSession(p, c, up, id)
	err = s.run()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && p.ctx.Err() == nil {
		p.logger.Info("connection closed", "peer", c.RemoteAddr(), "broker", up.RemoteAddr(), "error", err)
	}
}

// keep has Close end a connection.
func (p *Proxy) keep(c net.Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	if len(p.conns) >= 2*maxConns {
		return fmt.Errorf("%d connections are open, want at most %d", len(p.conns)/2, maxConns)
	}
	p.conns[c] = struct{}{}
	return nil
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close() // its session has told
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// reach dials a broker, for -1 the first of the upstream ones that answers, whose
// id is told if it is known.
func (p *Proxy) reach(ctx context.Context, id int32) (net.Conn, int32, error) {
	addresses := p.config.Upstream
	if id >= 0 {
		p.mu.Lock()
		addresses = []string{p.nodes[id].upstream}
		p.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	var errs []error
	for _, address := range addresses {
		c, err := p.config.Dial(ctx, "tcp", address)
		if err == nil {
			return c, p.nodeAt(id, address), nil
		}
		errs = append(errs, err)
	}
	return nil, id, errors.Join(errs...)
}

// nodeAt finds the broker that is told to be at an address.
func (p *Proxy) nodeAt(id int32, address string) int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, n := range p.nodes {
		if id < 0 && n.upstream == address {
			return other
		}
	}
	return id
}

// stand makes the proxy stand for a broker and gives the port where it does.
func (p *Proxy) stand(id int32, host string, port int32) (int32, error) {
	upstream := net.JoinHostPort(host, strconv.Itoa(int(port)))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, net.ErrClosed
	}
	n := p.nodes[id]
	if n == nil {
		if len(p.nodes) >= maxNodes {
			return 0, fmt.Errorf("broker %d is one more than %d", id, maxNodes)
		}
		l, err := p.listenLocked()
		if err != nil {
			return 0, fmt.Errorf("stand for broker %d: %w", id, err)
		}
		n = &node{listener: l}
		p.nodes[id] = n
		p.wg.Go(func() { p.accept(l, id) })
	}
	if n.upstream != upstream {
		p.logger.Info("standing for a broker", "node", id, "broker", upstream, "listener", n.listener.Addr())
		n.upstream = upstream
	}
	return portOf(n.listener.Addr())
}

// listenLocked takes the next port after the first listener's, or a free one
// where that is taken.
func (p *Proxy) listenLocked() (net.Listener, error) {
	host, port, err := net.SplitHostPort(p.config.Listen)
	if err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(port); err == nil && n > 0 {
		address := net.JoinHostPort(host, strconv.Itoa(n+1+len(p.nodes)))
		l, err := p.config.Listener("tcp", address)
		if err == nil {
			return l, nil
		}
		p.logger.Warn("a port is taken; a free one serves instead", "listener", address, "error", err)
	}
	return p.config.Listener("tcp", net.JoinHostPort(host, "0"))
}

func portOf(a net.Addr) (int32, error) {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(port, 10, 32)
	return int32(n), err
}

// learn notes the name of a topic id.
func (p *Proxy) learn(id [16]byte, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.topics) >= maxTopics {
		clear(p.topics) // each client asks for Metadata again and again
	}
	p.topics[id] = name
}

// topic is the name of a topic id, "" if it is not known.
func (p *Proxy) topic(id [16]byte) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.topics[id]
}
