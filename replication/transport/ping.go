package transport

import (
	"encoding/binary"
	"fmt"
)

// pingOnce sends a ping, which tells the peer whom this node hears. A peer that
// reads nothing must not keep its caller.
func (p *Peer) pingOnce() {
	p.mesh.tasks.Go(func() {
		p.links[control].send(kindPing, Group{}, [][]byte{p.mesh.view()}, func(any, []byte, error) { p.judge() })
	})
}

// judge tells of a peer that was lost or came back. It ends the connections of one
// that is silent for too long: what waits for it is answered then.
func (p *Peer) judge() {
	alive := p.Alive()
	if p.alive.Swap(alive) == alive {
		return
	}
	if alive {
		p.mesh.cfg.Logger.Info("node answers", "peer", p.node)
	} else {
		age, _ := p.LastContact()
		p.mesh.cfg.Logger.Warn("node is silent", "peer", p.node, "silent", age, "own_stalls", p.mesh.own(age), "limit", p.mesh.cfg.DeadAfter)
		p.cut(fmt.Errorf("%w: node %d was silent for %v", ErrUnreachable, p.node, p.mesh.cfg.DeadAfter))
	}
	p.mesh.cfg.Changed()
}

// A view is, for each peer, 4 bytes node and 1 byte: whether it is heard.
const viewSize = 5

func (m *Mesh) view() []byte {
	var b []byte
	for _, p := range m.Peers() {
		b = binary.BigEndian.AppendUint32(b, uint32(p.node))
		b = putBool(b, p.Alive())
	}
	return b
}

// hear takes what a node says of the others.
func (m *Mesh) hear(from int32, body []byte) error {
	if len(body)%viewSize != 0 {
		return fmt.Errorf("transport: view of %d bytes, want a multiple of %d", len(body), viewSize)
	}
	views := make(map[int32]bool, len(body)/viewSize)
	for ; len(body) > 0; body = body[viewSize:] {
		views[int32(binary.BigEndian.Uint32(body))] = body[4] == 1
	}
	if p := m.Peer(from); p != nil && p.takeView(views) {
		m.cfg.Changed()
	}
	return nil
}
