package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oncelog/oncelog/protocol/planted"
	mesh "github.com/oncelog/oncelog/replication/transport"
)

// meshLinks are the links of a node that has peers.
type meshLinks struct{ mesh *mesh.Mesh }

func (m meshLinks) send(to int32, id PartitionID, generation uint32, request any, done func(any, error)) {
	p := m.mesh.Peer(to)
	if p == nil {
		done(nil, fmt.Errorf("node %d is not a peer: %w", to, errNoLink))
		return
	}
	p.Send(mesh.Group{TopicID: id.TopicID, Partition: id.Partition, Generation: generation}, request, done)
}

func (m meshLinks) up(to int32) <-chan struct{} {
	if p := m.mesh.Peer(to); p != nil {
		return p.Up()
	}
	return nil // never
}

func (m meshLinks) pull(ctx context.Context, to int32, request []byte) ([]byte, error) {
	p := m.mesh.Peer(to)
	if p == nil {
		return nil, fmt.Errorf("node %d is not a peer: %w", to, errNoLink)
	}
	return p.Call(ctx, slices.Concat([]byte{callPiece}, request))
}

func (m meshLinks) contact(to int32) (c contact) {
	if p := m.mesh.Peer(to); p != nil {
		c.near = p.Near()
		c.resumed = p.Resumed()
	}
	return c
}

// openMesh joins the node to others, if it has any.
func (n *Node) openMesh(cfg *mesh.Config) (err error) {
	if cfg == nil {
		return nil
	}
	c := *cfg
	c.NodeID, c.Logger, c.Receive, c.Changed, c.Connected = n.cfg.NodeID, n.cfg.Logger, n.take, n.detector.poke, n.connected
	answer := c.Call
	c.Call = n.answerCalls(answer)
	if n.mesh, err = mesh.Open(c); err != nil {
		return fmt.Errorf("open the nodes' listener: %w", err)
	}
	n.cfg.links = meshLinks{n.mesh}
	return nil
}

// take puts a raft request of another node's replica in line.
func (n *Node) take(_ int32, group mesh.Group, request any) mesh.Wait {
	return n.receive(PartitionID{TopicID: group.TopicID, Partition: group.Partition}, group.Generation, request)
}

// SetPeers names the other nodes and where they listen.
func (n *Node) SetPeers(addresses map[int32]string) {
	if n.mesh != nil {
		n.mesh.SetPeers(addresses)
	}
}

// Mesh is the node's connections to others, nil when it has none.
func (n *Node) Mesh() *mesh.Mesh { return n.mesh }

// Hears says whether a node answers this one; a node hears itself.
func (n *Node) Hears(node int32) bool {
	return node == n.cfg.NodeID || n.mesh != nil && n.detector.alive(node)
}

// Fenced says whether this leader may lead no longer: fewer than a majority of its
// voters are known to have no other. It is asked at the moment of use, so a process
// that was stopped finds out before it answers anybody (hard-24).
func (p *Partition) Fenced() bool {
	if planted.Is(planted.FenceIgnored) {
		return false
	}
	if p.Leadership().Stranded {
		return true
	}
	g := p.group.Load()
	if g.store.sole.Load() || p.node.cfg.links == nil {
		return false
	}
	voters, near, doubted := p.Voters(), 0, false
	for _, v := range voters {
		if v == p.node.cfg.NodeID {
			near++
			continue
		}
		c := p.node.cfg.links.contact(v)
		switch {
		case !c.near:
		case c.resumed.IsZero() || g.transport.agreedSince(v, c.resumed):
			near++
		default:
			doubted = true
		}
	}
	fenced := near <= len(voters)/2
	if fenced && doubted {
		g.verify()
	}
	return fenced
}

// fencePatience is how long an append waits for the voters' word that this replica
// leads still. They are asked at once: after a pause of this process, shorter than
// what has it deposed, their answers come within the time for which heartbeats wait
// for each other.
const fencePatience = 200 * time.Millisecond

// staysFenced is Fenced, but first the voters are asked.
func (p *Partition) staysFenced(ctx context.Context) bool {
	if !p.Fenced() {
		return false
	}
	g := p.group.Load()
	ctx, cancel := context.WithTimeout(ctx, fencePatience)
	defer cancel()
	for p.Leadership().Ready {
		agreement := g.transport.agreement()
		if !p.Fenced() {
			return false
		}
		g.verify()
		select {
		case <-agreement:
		case <-ctx.Done():
			return true
		case <-p.closing:
			return true
		}
	}
	return true
}

var errFenced = errors.New("replication: too few voters have answered lately")
