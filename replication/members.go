package replication

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oncelog/oncelog/log"
)

// A Member is a replica of a group as its leader knows it.
type Member struct {
	Node  int32
	Voter bool
	// EndOffset is the log end that the leader knows the member to hold, at most
	// its own; what takes no offset, as a change of members, is not seen in it.
	EndOffset int64
	// Contact is when the member last answered, CaughtUp when it last held all
	// that the leader had. Both are zero for one that was never heard.
	Contact, CaughtUp time.Time
}

// votes says whether this node has a vote.
func (p *Partition) votes() bool { return slices.Contains(p.Voters(), p.node.cfg.NodeID) }

// Observers are the nodes that follow the group without a vote.
func (p *Partition) Observers() []int32 {
	var observers []int32
	for _, s := range p.group.Load().raft.GetConfiguration().Configuration().Servers {
		if node, ok := nodeOf(s.ID); ok && s.Suffrage != raft.Voter {
			observers = append(observers, node)
		}
	}
	return observers
}

// Members lists voters, then observers. It is empty on a follower, which does
// not know how far the others are.
func (p *Partition) Members() []Member {
	if !p.Leadership().Ready {
		return nil
	}
	g, now := p.group.Load(), time.Now()
	var all []Member
	for i, nodes := range [][]int32{p.Voters(), p.Observers()} {
		for _, node := range nodes {
			m := Member{Node: node, Voter: i == 0, EndOffset: g.log.EndOffset(), Contact: now, CaughtUp: now}
			if node != p.node.cfg.NodeID {
				seen := g.transport.peer(node)
				m.EndOffset, m.Contact, m.CaughtUp = g.endAt(seen.match), seen.contact, seen.caughtUp
				if seen.contact.IsZero() {
					m.CaughtUp = time.Time{} // it has only been given time
				}
			}
			all = append(all, m)
		}
	}
	return all
}

// endAt is the log end of a replica that holds all up to an index.
func (g *group) endAt(index uint64) int64 {
	if row, err := g.log.Row(index); err == nil {
		return row.NextOffset()
	}
	if b := g.log.Boundary(); index >= b.Index && b.Index > 0 {
		return b.NextOffset
	}
	return g.log.StartOffset()
}

// AddObserver has a node follow the group without a vote. The node opens it with
// Spec.Joins. One that is a member already stays what it is.
//
// Errors: NOT_LEADER_OR_FOLLOWER, ErrMembers when it did not happen.
func (p *Partition) AddObserver(ctx context.Context, node int32) error {
	return p.changeMembers(ctx, node, func(has bool, s raft.ServerSuffrage) bool { return has }, func(r *raft.Raft, limit time.Duration) {
		r.AddNonvoter(serverID(node), serverAddress(node), 0, limit)
	})
}

// AddVoter gives a node a vote. It should be an observer that is caught up:
// a voter that lacks the log holds up all that wait for a majority with it.
//
// Errors: as AddObserver.
func (p *Partition) AddVoter(ctx context.Context, node int32) error {
	return p.changeMembers(ctx, node, func(has bool, s raft.ServerSuffrage) bool { return has && s == raft.Voter }, func(r *raft.Raft, limit time.Duration) {
		r.AddVoter(serverID(node), serverAddress(node), 0, limit)
	})
}

// RemoveMember takes a node off the group. This leader hands over first: see
// Transfer.
//
// Errors: as AddObserver.
func (p *Partition) RemoveMember(ctx context.Context, node int32) error {
	if node == p.node.cfg.NodeID {
		return fmt.Errorf("node %d leads %v and cannot remove itself: transfer the leadership first: %w", node, p.id, ErrMembers)
	}
	return p.changeMembers(ctx, node, func(has bool, _ raft.ServerSuffrage) bool { return !has }, func(r *raft.Raft, limit time.Duration) {
		r.RemoveServer(serverID(node), 0, limit)
	})
}

// membersPatience bounds the wait for the change before, which raft wants
// committed before it takes another.
const membersPatience = 2 * time.Second

// changeMembers proposes a change of the members unless they are so already, and
// returns once it is committed.
//
// Raft's own answer to a change may never come around a shutdown (hard-02). So an
// entry without effect is proposed behind the change: when that is committed, the
// change is, or it was refused.
func (p *Partition) changeMembers(ctx context.Context, node int32, done func(member bool, s raft.ServerSuffrage) bool, propose func(*raft.Raft, time.Duration)) error {
	if !p.Leadership().Ready {
		return errNotLeader
	}
	g := p.group.Load()
	if !g.memberIs(node, done) {
		propose(g.raft, membersPatience)
	}
	if err := p.run(ctx, &proposal{kind: log.KindVoid, acks: -1, wake: make(chan struct{}, 1)}); err != nil {
		return fmt.Errorf("members of %v: %w", p.id, err)
	}
	if !g.memberIs(node, done) {
		return fmt.Errorf("members of %v: the change for node %d was not taken; another one was under way: %w", p.id, node, ErrMembers)
	}
	return nil
}

// memberIs looks at the newest members, committed or not.
func (g *group) memberIs(node int32, is func(member bool, s raft.ServerSuffrage) bool) bool {
	servers := g.raft.GetConfiguration().Configuration().Servers
	at := slices.IndexFunc(servers, func(s raft.Server) bool { return s.ID == serverID(node) })
	if at < 0 {
		return is(false, raft.Nonvoter)
	}
	return is(true, servers[at].Suffrage)
}
