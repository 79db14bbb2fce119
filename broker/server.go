package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oncelog/oncelog/protocol"
)

// A server accepts connections on its listeners and runs a conn for each.
//
// mu guards what stands below it. Every goroutine is counted in wg; stop waits for
// it. ctx ends when stop wants waiting requests to return.
type server struct {
	table    *protocol.Table
	settings func() *settings
	logger   *slog.Logger
	observe  func(frame []byte, took time.Duration)
	buffers  *bufferPool

	ctx     context.Context
	cancel  context.CancelFunc
	closing atomic.Bool
	wg      sync.WaitGroup
	nextID  atomic.Int64
	writing atomic.Int64 // bytes of answers on their way to peers
	held    heldRequests

	mu        sync.Mutex
	conns     map[*conn]struct{}
	perIP     map[string]int
	listeners []net.Listener
	second    time.Time // when lines began to count
	lines     int       // logged by tell since then
}

func newServer(table *protocol.Table, current func() *settings, logger *slog.Logger, buffers *bufferPool) *server {
	ctx, cancel := context.WithCancel(context.Background())
	return &server{
		table: table, settings: current, logger: logger, ctx: ctx, cancel: cancel,
		observe: func([]byte, time.Duration) {},
		buffers: buffers, conns: map[*conn]struct{}{}, perIP: map[string]int{}, held: heldRequests{requests: map[*conn]*heldRequest{}},
	}
}

// serve accepts on l, whose name in the settings is name, until stop.
func (s *server) serve(l net.Listener, name string) {
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	s.wg.Go(func() { s.accept(l, name) })
}

// acceptPause is how long to wait after a failed accept, such as too many open
// files, before the next.
const acceptPause = 50 * time.Millisecond

func (s *server) accept(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if s.closing.Load() || errors.Is(err, net.ErrClosed) {
			if err == nil {
				_ = c.Close() // never served
			}
			return
		}
		if err != nil {
			s.logger.Warn("accept failed", "listener", name, "error", err)
			select {
			case <-time.After(acceptPause):
				continue
			case <-s.ctx.Done():
				return
			}
		}
		s.admit(c, name)
	}
}

// admit starts a connection, or closes it when there are too many.
func (s *server) admit(c net.Conn, name string) {
	ip := hostOf(c.RemoteAddr())
	info := &protocol.Conn{ID: s.nextID.Add(1), Local: c.LocalAddr(), Remote: c.RemoteAddr(), Listener: name}
	info.SetPrincipal("User:ANONYMOUS")
	k := newConn(s, c, info)
	if err := s.add(k, ip); err != nil {
		s.tell(slog.LevelWarn, "connection refused", "listener", name, "peer", c.RemoteAddr(), "error", err)
		k.cancel(err)
		_ = c.Close() // nothing was said on it
		return
	}
	s.wg.Go(func() {
		err := k.run()
		s.remove(k, ip)
		_ = c.Close() // run has told what went wrong
		if errors.Is(err, errPanic) {
			s.logger.Error("a bug ended a connection; please report it", "listener", name, "peer", c.RemoteAddr(), "error", err)
		} else if err != nil && !s.closing.Load() {
			s.tell(slog.LevelInfo, "connection closed", "listener", name, "peer", c.RemoteAddr(), "client_software", info.Software().Name, "error", err)
		}
	})
}

// linesPerSecond bounds what hostile peers can make the server log.
const linesPerSecond = 10

// tell logs what a peer has caused, unless too much was logged this second.
func (s *server) tell(level slog.Level, message string, attributes ...any) {
	s.mu.Lock()
	if now := time.Now(); now.Sub(s.second) >= time.Second {
		s.second, s.lines = now, 0
	}
	s.lines++
	lines := s.lines
	s.mu.Unlock()
	switch {
	case lines < linesPerSecond:
		s.logger.Log(s.ctx, level, message, attributes...)
	case lines == linesPerSecond:
		s.logger.Log(s.ctx, level, message+"; further lines of this second are left out", attributes...)
	}
}

// add counts k in, unless a limit is reached.
func (s *server) add(k *conn, ip string) error {
	limits := s.settings()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= int(limits.maxConnections) {
		return fmt.Errorf("max.connections of %d is reached", limits.maxConnections)
	}
	if most := limits.connectionsFor(ip); s.perIP[ip] >= most {
		return fmt.Errorf("max.connections.per.ip of %d is reached", most)
	}
	s.conns[k] = struct{}{}
	s.perIP[ip]++
	return nil
}

func (s *server) remove(k *conn, ip string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, k)
	if s.perIP[ip]--; s.perIP[ip] == 0 {
		delete(s.perIP, ip)
	}
}

// connections is how many are open.
func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// connectionsFor is the limit of one address.
func (s *settings) connectionsFor(ip string) int {
	for _, entry := range splitList(s.maxPerIPOverrides) {
		address, limit, ok := cutLast(entry, ":")
		if n, err := strconv.Atoi(limit); ok && err == nil && address == ip {
			return n
		}
	}
	return int(s.maxConnectionsPerIP)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// stop ends the server: it accepts no more, lets each request in progress
// return, and closes every connection. Requests that still run when ctx ends
// lose their connection first, and then what they wait for: abandon fails it.
func (s *server) stop(ctx context.Context, abandon func()) error {
	s.closing.Store(true)
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	var all []error
	for _, l := range listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			all = append(all, err)
		}
	}
	s.cancel()
	s.each(func(k *conn) { _ = k.net.SetReadDeadline(time.Unix(1, 0)) }) // a conn that reads now is idle
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.each(func(k *conn) { _ = k.net.Close() })
		abandon()
		<-done
	}
	return errors.Join(all...)
}

func (s *server) each(f func(*conn)) {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for k := range s.conns {
		conns = append(conns, k)
	}
	s.mu.Unlock()
	for _, k := range conns {
		f(k)
	}
}
