package nemesis

import (
	"net"
	"time"
)

// serveLocked accepts the connections of a link until its listener is closed.
func (m *Mesh) serveLocked(l *link, listener net.Listener) {
	l.listener = listener
	m.tasks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			m.tasks.Go(func() { m.connect(l, conn) })
		}
	})
}

// connect carries the bytes of one connection both ways until one side ends it.
func (m *Mesh) connect(l *link, dialled net.Conn) {
	if !m.keep(l, dialled) {
		return
	}
	defer m.drop(l, dialled)
	if !m.pass(l.pair, 0) || !m.pass(l.back(), 0) {
		return // a handshake needs both ways
	}
	accepted, err := net.Dial("tcp", m.targets[l.to])
	if err != nil {
		return // nobody listens there, which the dialer hears
	}
	if !m.keep(l, accepted) {
		return
	}
	defer m.drop(l, accepted)
	over := make(chan struct{}, 2)
	m.tasks.Go(func() { m.carry(accepted, dialled, l.pair); over <- struct{}{} })
	m.tasks.Go(func() { m.carry(dialled, accepted, l.back()); over <- struct{}{} })
	<-over
}

// keep has Close end a connection; not if it is too late.
func (m *Mesh) keep(l *link, c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.done:
		_ = c.Close() // nothing was sent
		return false
	default:
		l.conns[c] = struct{}{}
		return true
	}
}

// drop ends a connection at once, as the end of a process does.
func (m *Mesh) drop(l *link, c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // what could not be sent is not wanted any more
	}
	_ = c.Close()
	m.mu.Lock()
	delete(l.conns, c)
	m.mu.Unlock()
}

// carry copies bytes as the way lets them. The end of the connection takes the
// same way: who is cut off does not hear of it.
func (m *Mesh) carry(to, from net.Conn, p pair) {
	buffer := make([]byte, pieceSize)
	for {
		n, err := from.Read(buffer)
		if !m.pass(p, n) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until the way lets n bytes through; false says that the mesh closes.
func (m *Mesh) pass(p pair, n int) bool {
	delayed := n == 0
	for {
		m.mu.Lock()
		w, moved := m.ways[p], m.moved
		m.mu.Unlock()
		var ready <-chan time.Time
		switch {
		case w.Cut:
		case w.Delay > 0 && !delayed:
			ready = time.After(w.Delay)
		default:
			return true
		}
		select {
		case <-ready:
			delayed = true
		case <-moved:
		case <-m.done:
			return false
		}
	}
}
