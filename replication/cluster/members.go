package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oncelog/oncelog/replication"
)

// wantedVoters is how many nodes decide on the metadata where there are enough:
// one of them may fail. Founders may be more.
const wantedVoters = 3

// How the keeper of the members goes on.
const (
	keepRest    = 250 * time.Millisecond // while something is left to do
	keepTimeout = 5 * time.Second        // of one change
	readyWithin = 5 * time.Second        // an observer that held the whole log so lately may vote
)

// A step is one change of the metadata group's members.
type step struct {
	kind stepKind
	node int32
}

type stepKind uint8

const (
	nothing stepKind = iota
	await            // for an observer to be ready
	addObserver
	addVoter
	remove
	handOver // the leadership, to a voter that stays
)

// members is what the keeper decides on.
type members struct {
	self              int32
	voters, observers []int32
	ready             []int32 // of both, those that answer and hold the whole log
}

// next decides the next change of the members. Registered brokers become
// observers. Observers become voters until there are enough, and in the place of
// voters that were unregistered, which are taken off.
func (m members) next(img *Image) step {
	for _, b := range img.Nodes() {
		if b.Address != "" && !slices.Contains(m.voters, b.ID) && !slices.Contains(m.observers, b.ID) {
			return step{addObserver, b.ID}
		}
	}
	if gone := slices.IndexFunc(m.observers, img.Left); gone >= 0 {
		return step{remove, m.observers[gone]}
	}
	staying := slices.DeleteFunc(slices.Clone(m.voters), img.Left)
	successors := slices.DeleteFunc(slices.Clone(m.observers), func(id int32) bool { return !slices.Contains(m.ready, id) })
	if len(staying) < len(m.voters) {
		return m.replace(img, staying, successors)
	}
	switch missing := wantedVoters - len(staying); {
	case missing <= 0 || len(m.observers) < missing: // two voters stand no failure that one does not
		return step{nothing, -1}
	case len(successors) < missing:
		return step{await, -1}
	default:
		return step{addVoter, slices.Min(successors)}
	}
}

// replace takes an unregistered voter off, with another in its place if there is
// one. This node, if it is the one, hands over first.
func (m members) replace(img *Image, staying, successors []int32) step {
	if len(successors) > 0 && len(staying) < min(wantedVoters, len(m.voters)) {
		return step{addVoter, slices.Min(successors)}
	}
	if len(staying) == 0 {
		return step{await, -1}
	}
	for _, v := range m.voters {
		if v != m.self && img.Left(v) {
			return step{remove, v}
		}
	}
	for _, v := range staying {
		if slices.Contains(m.ready, v) {
			return step{handOver, v}
		}
	}
	return step{await, -1}
}

// KeepMembers has the nodes that follow the metadata be those that are
// registered, whenever this node leads it, until ctx ends. hears says which nodes
// answer.
func (m *Metadata) KeepMembers(ctx context.Context, hears func(int32) bool) {
	for ctx.Err() == nil {
		changed, moved := m.Changed(), m.group.Moved()
		var again <-chan time.Time
		if m.group.Leadership().Ready && m.keepMembers(ctx, hears) {
			again = time.After(keepRest)
		}
		select {
		case <-changed:
		case <-moved:
		case <-again:
		case <-ctx.Done():
		}
	}
}

// keepMembers makes changes until none is left, and reports whether some must
// wait.
func (m *Metadata) keepMembers(ctx context.Context, hears func(int32) bool) (again bool) {
	for {
		now := members{self: m.cfg.NodeID, voters: m.group.Voters(), observers: m.group.Observers()}
		for _, one := range m.group.Members() {
			if hears(one.Node) && time.Since(one.CaughtUp) < readyWithin {
				now.ready = append(now.ready, one.Node)
			}
		}
		s := now.next(m.Image())
		if s.kind == nothing || s.kind == await {
			return s.kind == await
		}
		if err := m.take(ctx, s); err != nil {
			m.logger.Info("the nodes that follow the metadata could not be changed yet", "peer", s.node, "error", err)
			return true
		}
		m.logger.Info("the nodes that follow the metadata changed", "peer", s.node, "voters", m.group.Voters(), "observers", m.group.Observers())
	}
}

func (m *Metadata) take(ctx context.Context, s step) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	switch s.kind {
	case addObserver:
		return m.group.AddObserver(ctx, s.node)
	case addVoter:
		return m.group.AddVoter(ctx, s.node)
	case remove:
		return m.group.RemoveMember(ctx, s.node)
	case handOver:
		return m.group.Transfer(ctx, s.node)
	default:
		return errors.New("a step that is none")
	}
}

// Group is the replica of the metadata on this node.
func (m *Metadata) Group() *replication.Partition { return m.group }
