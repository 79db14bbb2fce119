package transport

import (
	"encoding/binary"
	"fmt"
	"time"
)

// ping asks the peer at every interval whether it is there, tells it whom this
// node hears, and ends the connections of a peer that is silent for too long:
// what waits for it is answered then.
func (p *Peer) ping() {
	interval := p.mesh.cfg.PingInterval
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for last := time.Now(); ; last = time.Now() {
		p.pingOnce()
		select {
		case <-ticker.C:
			if late := time.Since(last) - interval; late > interval {
				p.mesh.stalled(late)
			}
			p.judge()
		case <-p.ctx.Done():
			return
		}
	}
}

// pingOnce sends a ping. A peer that reads nothing must not keep its caller.
func (p *Peer) pingOnce() {
	p.mesh.tasks.Go(func() {
		p.links[control].send(kindPing, Group{}, [][]byte{p.mesh.view()}, func(any, []byte, error) { p.judge() })
	})
}

// judge tells of a peer that was lost or came back.
func (p *Peer) judge() {
	alive := p.Alive()
	if p.alive.Swap(alive) == alive {
		return
	}
	if alive {
		p.mesh.cfg.Logger.Info("node answers", "peer", p.node)
	} else {
		p.mesh.cfg.Logger.Warn("node is silent", "peer", p.node, "limit", p.mesh.cfg.DeadAfter)
		p.cut(fmt.Errorf("%w: node %d was silent for %v", ErrUnreachable, p.node, p.mesh.cfg.DeadAfter))
	}
	p.mesh.cfg.Changed()
}

// A stall is a time in which this process did not run: it was stopped, or others
// had the processors.
type stall struct {
	end    time.Time
	length time.Duration
}

// stalled notes that this process ran late.
func (m *Mesh) stalled(length time.Duration) {
	m.stall.Store(&stall{time.Now(), length})
}

// own is how much of the silence of others, since a time, is this node's own:
// it did not hear them because it did not run. Only who is dead follows from it,
// never who may go on leading (hard-24).
func (m *Mesh) own(age time.Duration) time.Duration {
	s := m.stall.Load()
	if s == nil || time.Since(s.end) >= min(age, m.cfg.DeadAfter) {
		return 0
	}
	return s.length
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
