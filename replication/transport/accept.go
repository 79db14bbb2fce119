package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/semaphore"
)

// accept takes connections until the mesh closes.
func (m *Mesh) accept() {
	for {
		c, err := m.cfg.Listener.Accept()
		if err != nil {
			if m.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			m.cfg.Logger.Warn("a node's connection was not accepted", "error", err)
			select {
			case <-time.After(minRedial): // out of file descriptors, say
			case <-m.ctx.Done():
			}
			continue
		}
		m.tasks.Go(func() { m.serve(c) })
	}
}

// maxGreeting bounds the connections that have not said yet who they are.
const maxGreeting = 64

// serve answers one connection until it ends.
func (m *Mesh) serve(raw net.Conn) {
	select {
	case m.greeting <- struct{}{}:
	default:
		_ = raw.Close() // a node dials again
		return
	}
	stop := context.AfterFunc(m.ctx, func() { _ = raw.Close() }) // ends a handshake that hangs
	defer stop()
	r := newReader(raw)
	h, err := m.welcome(raw, r)
	<-m.greeting
	if err != nil {
		_ = raw.Close() // it was told why, if it is a node
		m.cfg.Logger.Warn("a connection to the nodes' listener was refused", "remote", raw.RemoteAddr().String(), "error", err)
		return
	}
	c := newConn(raw, r, h.class)
	if h.class == visit {
		c.close(m.readRequests(h.from, c))
		return
	}
	if !m.admit(h, c) {
		c.close(ErrClosed)
		return
	}
	if p := m.Peer(h.from); p != nil {
		p.wake()
	}
	err = m.readRequests(h.from, c)
	c.close(err)
	m.dismiss(h, c)
}

// admit makes c the connection of its kind. The older one of the same node
// ends: what it sent late must not come after what this one brings (hard-22).
func (m *Mesh) admit(h hello, c *conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	key := inboundKey{h.from, h.class}
	if old := m.inbound[key]; old != nil {
		old.close(fmt.Errorf("node %d connected again", h.from))
	}
	m.inbound[key], m.runs[h.from] = c, h.run
	return true
}

func (m *Mesh) dismiss(h hello, c *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if key := (inboundKey{h.from, h.class}); m.inbound[key] == c {
		delete(m.inbound, key)
	}
}

// maxUnanswered bounds the bytes of a connection's requests that wait for their
// answers; nothing more is read then.
const maxUnanswered = maxData

// readRequests hands requests on, in the order in which they came.
func (m *Mesh) readRequests(from int32, c *conn) error {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	room := semaphore.NewWeighted(maxUnanswered)
	for {
		h, b, err := c.read()
		if err != nil {
			return err
		}
		if err := room.Acquire(ctx, int64(h.size)); err != nil {
			return err
		}
		done := func(answered bool) {
			room.Release(int64(h.size))
			if answered {
				b.release()
			}
		}
		if err := m.dispatch(ctx, from, c, h, *b.bytes, done); err != nil {
			return err
		}
	}
}

// dispatch puts a request in line and has its answer written when it is there;
// done says whether there was one. An error is of the frame itself and ends the
// connection.
func (m *Mesh) dispatch(ctx context.Context, from int32, c *conn, h header, body []byte, done func(answered bool)) error {
	var wait func(context.Context) ([]byte, error)
	if c.class == visit && h.kind != kindCall {
		return fmt.Errorf("transport: frame of kind %d from a visitor, who may call only", h.kind)
	}
	switch h.kind {
	case kindPing:
		if err := m.hear(from, body); err != nil {
			return err
		}
		wait = func(context.Context) ([]byte, error) { return nil, nil }
	case kindHeartbeats:
		if len(body)%beatSize != 0 {
			return fmt.Errorf("transport: heartbeats of %d bytes, want a multiple of %d", len(body), beatSize)
		}
		beats := m.answerBeats(from, body)
		wait = func(ctx context.Context) ([]byte, error) { return beats(ctx), nil }
	case kindCall:
		if len(body) < 4 {
			return fmt.Errorf("transport: call of %d bytes, want at least 4", len(body))
		}
		wait = func(ctx context.Context) ([]byte, error) { return m.call(ctx, from, body) }
	default:
		request, err := decode(h.kind, from, body)
		if err != nil {
			return err
		}
		answer := m.cfg.Receive(from, h.group, request)
		wait = func(ctx context.Context) ([]byte, error) {
			a, err := answer(ctx)
			if err != nil {
				return nil, err
			}
			return encodeAnswer(a)
		}
	}
	m.tasks.Go(func() {
		done(m.answer(ctx, c, h.id, wait))
	})
	return nil
}

// answer reports whether there was one. Who gave none may still read the
// request, so its bytes are not used for another.
func (m *Mesh) answer(ctx context.Context, c *conn, id uint64, wait func(context.Context) ([]byte, error)) (answered bool) {
	out := header{kind: kindAnswer, id: id}
	body, err := wait(ctx)
	answered = err == nil
	if err != nil {
		out.kind, body = kindRefusal, []byte(err.Error())
	}
	if errors.Is(err, ErrNotOpen) {
		out.kind, body = kindNotOpen, nil
	}
	if err := c.write(out, body); err != nil && ctx.Err() == nil {
		c.close(err) // an answer that cannot be sent would be waited for
	}
	return answered
}

// call answers another broker, in the time that it gives.
func (m *Mesh) call(ctx context.Context, from int32, body []byte) ([]byte, error) {
	if ms := binary.BigEndian.Uint32(body); ms > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, min(time.Duration(ms)*time.Millisecond, maxCall))
		defer cancel()
	}
	return m.cfg.Call(ctx, from, body[4:])
}
