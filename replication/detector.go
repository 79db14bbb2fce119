package replication

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// The detector has a replica stand for election when its group's leader is
// gone. Raft's own timers are long (see group.go), so nothing else does.
//
// A kick skips raft's pre-vote and deposes a leader that is well. So a replica
// stands only when a majority of the voters, this node among them, say that the
// leader's node is dead, or, where none is known, that they know none either
// (hard-25).
type detector struct {
	node *Node
	some chan struct{} // one message: something changed
}

// How the detector waits.
const (
	lookAgain   = 50 * time.Millisecond  // while a group has no leader
	kickStagger = 300 * time.Millisecond // between the voters of a group, in order of preference
	minRest     = 2 * time.Second        // between two kicks of one replica, doubling
	maxRest     = 30 * time.Second
	askTimeout  = 500 * time.Millisecond
)

// A trouble is a group without a leader that answers, as one replica sees it, and
// with a majority that can elect one.
type trouble struct {
	next time.Time // no kick before
	rest time.Duration
}

func newDetector(n *Node) *detector { return &detector{node: n, some: make(chan struct{}, 1)} }

// poke has the detector look now. It never blocks.
func (d *detector) poke() {
	select {
	case d.some <- struct{}{}:
	default: // it will
	}
}

// run looks whenever something changed, and again and again only while a group
// has no leader.
func (d *detector) run(ctx context.Context) {
	troubles, leaderless := map[PartitionID]*trouble{}, false
	for {
		var again <-chan time.Time
		if leaderless {
			again = time.After(lookAgain)
		}
		select {
		case <-d.some:
		case <-again:
		case <-ctx.Done():
			return
		}
		leaderless = d.look(ctx, troubles)
	}
}

// look finds the groups in trouble and kicks those whose turn it is. It reports
// whether any has no leader.
func (d *detector) look(ctx context.Context, troubles map[PartitionID]*trouble) bool {
	found := map[PartitionID]*Partition{}
	var leaderless []*Partition
	for _, p := range d.node.all() {
		if p.group.Load().store.sole.Load() {
			continue
		}
		switch l := p.Leadership(); {
		case l.Leader == d.node.cfg.NodeID || p.leads():
		case l.Leader < 0:
			if p.votes() {
				leaderless = append(leaderless, p)
			}
		case d.lost(p, l.Leader):
			found[p.id] = p
		}
	}
	d.findLeaderless(ctx, leaderless, found)
	for id := range troubles {
		if found[id] == nil {
			delete(troubles, id)
		}
	}
	d.findVoters(ctx, found, troubles)
	for id, t := range troubles {
		d.kick(found[id], t)
	}
	return len(leaderless) > 0 || len(found) > 0
}

// findVoters finds out which groups have a majority that can vote, and from then
// on gives their voters turns to stand. Raft would wait ten seconds for the vote
// of a node that has not opened the group yet, as one that was just started, and
// hear no second kick meanwhile.
func (d *detector) findVoters(ctx context.Context, found map[PartitionID]*Partition, troubles map[PartitionID]*trouble) {
	var unknown []*Partition
	for id, p := range found {
		if troubles[id] == nil {
			unknown = append(unknown, p)
		}
	}
	open := map[PartitionID]int{}
	d.ask(ctx, unknown, func(p *Partition, _ int32) { open[p.id]++ })
	now := time.Now()
	for _, p := range unknown {
		if 1+open[p.id] > len(p.Voters())/2 {
			troubles[p.id] = &trouble{next: now.Add(time.Duration(d.rank(p)) * kickStagger), rest: minRest}
		}
	}
}

// kick has a replica stand for election if it is its turn, and nobody was
// elected while it was looked at.
func (d *detector) kick(p *Partition, t *trouble) {
	now, l := time.Now(), p.Leadership()
	if now.Before(t.next) || p.yields(now) || p.leads() || l.Leader >= 0 && d.alive(l.Leader) {
		return
	}
	t.next, t.rest = now.Add(t.rest), min(2*t.rest, maxRest)
	p.logger.Info("standing for election", "leader_before", l.Leader)
	p.group.Load().transport.kick()
}

// yieldRest is how long a replica that handed over leaves the election to others:
// while they hold it nobody leads, and it would be the first to stand.
const yieldRest = 2 * time.Second

// yields says whether a replica does not stand: it has just handed over, or its
// node is about to stop.
func (p *Partition) yields(now time.Time) bool {
	return p.node.leaving.Load() || now.Sub(time.Unix(0, p.yielded.Load())) < yieldRest
}

// lost says whether a majority of the voters say that the leader's node is dead.
func (d *detector) lost(p *Partition, leader int32) bool {
	if d.node.mesh == nil || d.alive(leader) {
		return false
	}
	voters, dead := p.Voters(), 0
	if !slices.Contains(voters, d.node.cfg.NodeID) {
		return false
	}
	for _, v := range voters {
		if v == d.node.cfg.NodeID {
			dead++
		} else if peer := d.node.mesh.Peer(v); peer != nil && v != leader {
			if hears, known := peer.Hears(leader); known && !hears {
				dead++
			}
		}
	}
	return dead > len(voters)/2
}

func (d *detector) alive(node int32) bool {
	p := d.node.mesh.Peer(node)
	return p != nil && p.Alive()
}

// rank is this node's place among the voters that are there.
func (d *detector) rank(p *Partition) int {
	rank := 0
	for _, v := range p.inPreference() {
		if v == d.node.cfg.NodeID {
			break
		}
		if d.alive(v) {
			rank++
		}
	}
	return rank
}

// findLeaderless asks the other voters of groups without a known leader whether
// they know one. Those of which a majority knows none are in trouble.
func (d *detector) findLeaderless(ctx context.Context, groups []*Partition, found map[PartitionID]*Partition) {
	if d.node.mesh == nil {
		return
	}
	ignorant, known := map[PartitionID]int{}, map[PartitionID]bool{}
	d.ask(ctx, groups, func(p *Partition, leader int32) {
		if leader < 0 || leader == d.node.cfg.NodeID { // it has not heard that this node leads no more
			ignorant[p.id]++
		} else {
			known[p.id] = true
		}
	})
	for _, p := range groups {
		if !known[p.id] && 1+ignorant[p.id] > len(p.Voters())/2 {
			found[p.id] = p
		}
	}
}

// ask asks the other voters of groups that are there who leads, and gives what
// those say that have the group open; -1 is nobody.
func (d *detector) ask(ctx context.Context, groups []*Partition, answer func(p *Partition, leader int32)) {
	byNode := map[int32][]*Partition{}
	for _, p := range groups {
		for _, v := range p.Voters() {
			if v != d.node.cfg.NodeID && d.alive(v) {
				byNode[v] = append(byNode[v], p)
			}
		}
	}
	for v, asked := range byNode {
		leaders, err := d.node.askLeaders(ctx, v, asked)
		if err != nil {
			d.node.cfg.Logger.Debug("a node did not say who leads", "peer", v, "error", err)
			continue
		}
		for i, p := range asked {
			if leaders[i] != unknownGroup {
				answer(p, leaders[i])
			}
		}
	}
}

// leads says whether this replica was elected, ready or not.
func (p *Partition) leads() bool {
	p.order.mu.Lock()
	defer p.order.mu.Unlock()
	return p.order.lead != nil
}

// Calls between nodes begin with a byte that says whose they are.
const (
	callLeaders byte = iota // who leads these groups
	callBroker              // the broker's own
	callPiece               // bytes of a compacted log
)

// unknownGroup is the answer of a node that holds no replica of a group.
const unknownGroup = -2

// maxAsked bounds the groups of one question.
const maxAsked = 100_000

// askLeaders asks a node who leads groups. -1: it knows of nobody.
func (n *Node) askLeaders(ctx context.Context, node int32, groups []*Partition) ([]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out := []byte{callLeaders}
	for _, p := range groups {
		out = append(out, p.id.TopicID[:]...)
		out = binary.BigEndian.AppendUint32(out, uint32(p.id.Partition))
	}
	peer := n.mesh.Peer(node)
	if peer == nil {
		return nil, errNoLink
	}
	answer, err := peer.Call(ctx, out)
	if err != nil {
		return nil, err
	}
	if len(answer) != 4*len(groups) {
		return nil, fmt.Errorf("node %d answered for %d groups with %d bytes", node, len(groups), len(answer))
	}
	leaders := make([]int32, len(groups))
	for i := range leaders {
		leaders[i] = int32(binary.BigEndian.Uint32(answer[4*i:]))
	}
	return leaders, nil
}

// sayLeaders answers askLeaders. A leader whose node this one does not hear is
// as good as none.
func (n *Node) sayLeaders(body []byte) ([]byte, error) {
	const size = 16 + 4
	if len(body)%size != 0 || len(body)/size > maxAsked {
		return nil, fmt.Errorf("question of %d bytes, want a multiple of %d", len(body), size)
	}
	out := make([]byte, 0, len(body)/size*4)
	for ; len(body) > 0; body = body[size:] {
		id := PartitionID{TopicID: [16]byte(body), Partition: int32(binary.BigEndian.Uint32(body[16:]))}
		leader := int32(unknownGroup)
		if p := n.Partition(id); p != nil {
			leader = p.Leadership().Leader
			if leader >= 0 && leader != n.cfg.NodeID && !n.detector.alive(leader) {
				leader = -1
			}
		}
		out = binary.BigEndian.AppendUint32(out, uint32(leader))
	}
	return out, nil
}

// answerCalls answers the node's own questions and hands on the broker's.
func (n *Node) answerCalls(broker func(context.Context, int32, []byte) ([]byte, error)) func(context.Context, int32, []byte) ([]byte, error) {
	return func(ctx context.Context, from int32, body []byte) ([]byte, error) {
		switch {
		case len(body) > 0 && body[0] == callLeaders:
			return n.sayLeaders(body[1:])
		case len(body) > 0 && body[0] == callBroker && broker != nil:
			return broker(ctx, from, body[1:])
		case len(body) > 0 && body[0] == callPiece:
			return n.givePiece(body[1:])
		default:
			return nil, fmt.Errorf("call of %d bytes is none that this node knows", len(body))
		}
	}
}

// Call sends a request of this node's broker to another's and returns the answer.
func (n *Node) Call(ctx context.Context, to int32, request []byte) ([]byte, error) {
	if n.mesh == nil {
		return nil, errNoLink
	}
	peer := n.mesh.Peer(to)
	if peer == nil {
		return nil, fmt.Errorf("node %d is not a peer: %w", to, errNoLink)
	}
	return peer.Call(ctx, slices.Concat([]byte{callBroker}, request))
}

// Visit is Call to whichever node listens at an address.
//
// Errors: transport.ErrRefused.
func (n *Node) Visit(ctx context.Context, address string, request []byte) ([]byte, error) {
	if n.mesh == nil {
		return nil, errNoLink
	}
	return n.mesh.Visit(ctx, address, slices.Concat([]byte{callBroker}, request))
}
