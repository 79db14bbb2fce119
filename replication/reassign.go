package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A memberStep is the next thing to do on the way to other voters.
type memberStep uint8

const (
	membersDone    memberStep = iota
	membersWait               // for a new replica to catch up
	membersObserve            // have the node follow without a vote
	membersPromote            // give the node a vote
	membersRemove             // take the node off
	membersYield              // hand the leadership to the node, as this one is to go
)

// caughtUpLately is how recently a replica held all that its leader had when it
// is given a vote. One that lags would hold up every commit that needs it.
const caughtUpLately = 2 * time.Second

// nextMemberStep decides the next step from the members that there are to the
// voters that are wanted. self leads.
//
//   - New replicas follow without a vote until they are caught up.
//   - Votes go one at a time, as raft's safety asks. While votes are still to be
//     given, one is taken only where there is an even number: a group of four
//     bears no more silent voters than one of three.
//   - Whoever leads goes last, after it has handed over.
func nextMemberStep(members []Member, want []int32, self int32, now time.Time) (memberStep, int32) {
	byNode := map[int32]Member{}
	var surplus []int32
	voters, yieldTo := 0, int32(-1)
	for _, m := range members {
		byNode[m.Node] = m
		switch wanted := slices.Contains(want, m.Node); {
		case !m.Voter && !wanted:
			return membersRemove, m.Node
		case m.Voter && !wanted && m.Node != self:
			surplus = append(surplus, m.Node)
		}
		if m.Voter {
			voters++
		}
	}
	ready, missing := int32(-1), false
	for _, node := range want {
		m, member := byNode[node]
		near := member && !m.CaughtUp.IsZero() && now.Sub(m.CaughtUp) < caughtUpLately
		switch {
		case !member:
			return membersObserve, node
		case !m.Voter:
			missing = true
			if near && ready < 0 {
				ready = node
			}
		case near && node != self && yieldTo < 0:
			yieldTo = node
		}
	}
	leaves := !slices.Contains(want, self)
	switch shrinks := voters > len(want) && voters%2 == 0 || !missing; {
	case shrinks && len(surplus) > 0:
		return membersRemove, surplus[0]
	case ready >= 0:
		return membersPromote, ready
	case missing:
		return membersWait, -1
	case leaves && yieldTo >= 0:
		return membersYield, yieldTo
	case leaves:
		return membersWait, -1
	default:
		return membersDone, -1
	}
}

// errMoving says that the voters of a group are being changed by another call.
var errMoving = fmt.Errorf("another change of the voters is under way: %w", ErrMembers)

// SetVoters brings the group to other voters, as far as it comes while ctx
// lasts: what is missing is there to be asked for again, of whoever leads then.
// This leader may be among those that go; it then hands over and returns
// NOT_LEADER_OR_FOLLOWER. The nodes that are new open the partition with
// Spec.Joins.
//
// Errors: NOT_LEADER_OR_FOLLOWER, ErrMembers, those of the context.
func (p *Partition) SetVoters(ctx context.Context, want []int32) error {
	if len(want) == 0 {
		return fmt.Errorf("members of %v: no voters are wanted: %w", p.id, ErrMembers)
	}
	if !p.moving.CompareAndSwap(false, true) {
		return errMoving
	}
	defer p.moving.Store(false)
	for {
		progress := p.order.progressed()
		members := p.Members()
		if len(members) == 0 {
			return errNotLeader
		}
		step, node := nextMemberStep(members, want, p.node.cfg.NodeID, time.Now())
		switch step {
		case membersDone:
			return nil
		case membersWait:
			if err := p.awaitProgress(ctx, progress); err != nil {
				return err
			}
			continue
		}
		if err := p.takeMemberStep(ctx, step, node); err != nil {
			return err
		}
		p.logger.Info("members changed", "voters", p.Voters(), "observers", p.Observers(), "wanted", want)
	}
}

// awaitProgress waits for a follower to come forward, or for its next answer.
func (p *Partition) awaitProgress(ctx context.Context, progress <-chan struct{}) error {
	select {
	case <-progress:
	case <-time.After(lookAgain):
	case <-ctx.Done():
		return fmt.Errorf("members of %v: a new replica is not caught up: %w: %w", p.id, ctx.Err(), ErrMembers)
	}
	return nil
}

func (p *Partition) takeMemberStep(ctx context.Context, step memberStep, node int32) error {
	switch step {
	case membersObserve:
		return p.AddObserver(ctx, node)
	case membersPromote:
		return p.AddVoter(ctx, node)
	case membersRemove:
		return p.RemoveMember(ctx, node)
	default: // membersYield
		if err := p.Transfer(ctx, node); err != nil {
			return err
		}
		return errNotLeader
	}
}

// SetPreferred says in which order the replicas should lead; raft's own order is
// that in which they were added.
func (p *Partition) SetPreferred(replicas []int32) {
	order := slices.Clone(replicas)
	p.preferred.Store(&order)
}

// inPreference lists the voters, those that should lead first.
func (p *Partition) inPreference() []int32 {
	voters := p.Voters()
	order := p.preferred.Load()
	if order == nil {
		return voters
	}
	rank := func(node int32) int {
		if i := slices.Index(*order, node); i >= 0 {
			return i
		}
		return len(*order)
	}
	slices.SortStableFunc(voters, func(a, b int32) int { return rank(a) - rank(b) })
	return voters
}

// handoverAtOnce bounds the leaderships that are handed over at a time.
const handoverAtOnce = 32

// Handover gives the leaderships of this node to others, those that should have
// them where they can, so that nobody has to find out that it is gone. What
// nobody can take over, it keeps. From then on it stands for no election: it is
// about to close.
func (n *Node) Handover(ctx context.Context) {
	if n.mesh == nil {
		return
	}
	n.leaving.Store(true)
	var all sync.WaitGroup
	var given, kept atomic.Int32
	room := make(chan struct{}, handoverAtOnce)
	for _, p := range n.all() {
		if !p.Leadership().Ready || len(p.Voters()) == 1 {
			continue
		}
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			if p.giveUp(ctx) {
				given.Add(1)
			} else {
				kept.Add(1)
			}
		})
	}
	all.Wait()
	if given.Load()+kept.Load() > 0 {
		n.cfg.Logger.Info("leaderships handed over", "given", given.Load(), "kept", kept.Load())
	}
}

// giveUp hands a leadership to the first voter that can take it.
func (p *Partition) giveUp(ctx context.Context) bool {
	members := p.Members()
	for _, node := range p.inPreference() {
		at := slices.IndexFunc(members, func(m Member) bool { return m.Node == node })
		if node == p.node.cfg.NodeID || at < 0 || members[at].CaughtUp.IsZero() || !p.node.Hears(node) || ctx.Err() != nil {
			continue
		}
		err := p.Transfer(ctx, node)
		if err == nil || errors.Is(err, errNotLeader) {
			return true
		}
		p.logger.Debug("leadership was not handed over", "to", node, "error", err)
	}
	return len(members) == 0
}
