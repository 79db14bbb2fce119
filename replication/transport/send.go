package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Send sends a raft request to a group's replica on the peer. done is called
// once with the answer, by a goroutine that must not be kept: with an error at
// the latest when the connection ends. The request's bytes may be used again
// when Send returns.
func (p *Peer) Send(group Group, req any, done func(answer any, err error)) {
	if a, ok := req.(*raft.AppendEntriesRequest); ok && isHeartbeat(a) {
		p.beats.add(group, a, done)
		return
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

// callBudget is how many ms the peer may take; 0 is no limit.
func callBudget(ctx context.Context) uint32 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return uint32(max(1, min(time.Until(deadline), maxCall).Milliseconds()))
}

const maxCall = 10 * time.Minute
