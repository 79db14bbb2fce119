package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Send sends a raft request to a group's replica on the peer. done is called
// once with the answer, by a goroutine that must not be kept: with an error at
// the latest when the connection ends. The request's bytes may be used again
// when Send returns.
func (p *Peer) Send(group Group, req any, done func(answer any, err error)) {
	switch r := req.(type) {
	case Idle:
		p.beats.add(group, r.AppendEntriesRequest, false, done)
		return
	case Urgent:
		if req = r.AppendEntriesRequest; isHeartbeat(r.AppendEntriesRequest) {
			p.beats.add(group, r.AppendEntriesRequest, true, done)
			return
		}
	case *raft.AppendEntriesRequest:
		if isHeartbeat(r) {
			p.beats.add(group, r, false, done)
			return
		}
	}
	k, parts, err := encode(req)
	if err != nil {
		done(nil, err)
		return
	}
	class := control
	if k == kindAppend || k == kindInstall {
		class = data
	}
	p.links[class].send(k, group, parts, func(answer any, _ []byte, err error) { done(answer, err) })
}

// Call sends a request to the peer's broker and returns its answer.
//
// Errors: ErrUnreachable, ctx's own, and the text of the peer's error.
func (p *Peer) Call(ctx context.Context, request []byte) ([]byte, error) {
	type result struct {
		answer []byte
		err    error
	}
	wait := make(chan result, 1)
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], callBudget(ctx))
	forget := p.links[control].send(kindCall, Group{}, [][]byte{head[:], request}, func(_ any, body []byte, err error) {
		wait <- result{bytes.Clone(body), err}
	})
	select {
	case r := <-wait:
		return r.answer, r.err
	case <-ctx.Done():
		forget()
		return nil, fmt.Errorf("call to node %d: %w", p.node, ctx.Err())
	}
}

// Visit sends a request to the broker of whichever node listens at an address,
// on a connection of its own. It is how a node that knows nobody makes itself
// known.
//
// Errors: ErrRefused, ctx's own, and the text of the other's error.
func (m *Mesh) Visit(ctx context.Context, address string, request []byte) (answer []byte, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	raw, err := m.cfg.Dial(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("visit %s: %w", address, err)
	}
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })() // ends what hangs
	r := newReader(raw)
	if err := m.greet(raw, r, anyone, visit); err != nil {
		return nil, errors.Join(fmt.Errorf("visit %s: %w", address, err), raw.Close())
	}
	c := newConn(raw, r, visit)
	defer c.close(ErrClosed)
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], callBudget(ctx))
	if err := c.write(header{kind: kindCall, id: 1}, head[:], request); err != nil {
		return nil, fmt.Errorf("visit %s: %w", address, err)
	}
	h, b, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("visit %s: %w", address, errors.Join(ctx.Err(), err))
	}
	defer b.release()
	if h.kind != kindAnswer {
		return nil, fmt.Errorf("visit %s: %s", address, *b.bytes)
	}
	return bytes.Clone(*b.bytes), nil
}

// callBudget is how many ms the peer may take; 0 is no limit.
func callBudget(ctx context.Context) uint32 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return uint32(max(1, min(time.Until(deadline), maxCall).Milliseconds()))
}

const maxCall = 10 * time.Minute
