package cluster

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A reassignment (KIP-455) is in the partition's record from the wish to its end:
// Replicas are the wanted ones and, behind them, those that go. The controller
// brings the partition's own group there and then ends it. Until then all of
// Replicas hold the partition.

// Moving says whether a reassignment of the partition is under way.
func (p *Partition) Moving() bool {
	return len(p.Adding) > 0 || len(p.Removing) > 0 || len(p.Returning) > 0
}

// Target is the replicas that there are to be: those that do not go.
func (p *Partition) Target() []int32 { return without(p.Replicas, p.Removing) }

// FoundedBy is the replicas that make the group; none once it is known to be
// there. Then a replica without a log waits for the leader to bring it: were it
// to found the group again, those that come back later could agree on an empty one.
func (p *Partition) FoundedBy() []int32 {
	switch {
	case p.Founded:
		return nil
	case len(p.Founders) > 0:
		return p.Founders
	default:
		return p.Replicas
	}
}

// without is a new list: from without those of the other.
func without(from, gone []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(from), func(id int32) bool { return slices.Contains(gone, id) })
}

// both is a new list: those that are in one and in the other.
func both(one, other []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(one), func(id int32) bool { return !slices.Contains(other, id) })
}

// A Move asks for other replicas of a partition, the preferred leader first; no
// replicas cancel the reassignment under way.
type Move struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Replicas  []int32 `json:"replicas"` // null: cancel
}

// moves are decided together, each for itself.
type moves struct {
	Moves []Move `json:"moves"`
	// SameFactor refuses another number of replicas (KIP-860).
	SameFactor bool `json:"sameFactor,omitempty"`
}

// A refused is why one of several was not decided.
type refused struct {
	Code    int16  `json:"code,omitempty"` // 0: it was
	Message string `json:"message,omitempty"`
}

// decideMoves decides each of several reassignments. Of those that are refused it
// says why, in the order in which they were asked for.
func decideMoves(img *Image, asked moves) ([]command, []refused) {
	records := map[UUID]map[int32]Partition{}
	why := make([]refused, len(asked.Moves))
	var order []UUID
	for i, m := range asked.Moves {
		t, p, err := findMove(img, m)
		var next Partition
		if err == nil {
			if changed, ok := records[t.ID][m.Partition]; ok {
				p = changed // named twice: the later one goes by the earlier
			}
			next, err = decideMove(img, p, m, asked.SameFactor)
		}
		if err != nil {
			why[i] = refusedBy(err)
			continue
		}
		if records[t.ID] == nil {
			records[t.ID] = map[int32]Partition{}
			order = append(order, t.ID)
		}
		records[t.ID][m.Partition] = next
	}
	var commands []command
	for _, id := range order {
		commands = append(commands, command{ChangePartitions: &changePartitions{ID: id, Partitions: records[id]}})
	}
	return commands, why
}

func refusedBy(err error) refused {
	r := refused{Code: kerr.UnknownServerError.Code, Message: err.Error()}
	var code *kerr.Error
	if errors.As(err, &code) {
		r.Code = code.Code
	}
	return r
}

func findMove(img *Image, m Move) (*Topic, Partition, error) {
	t, ok := img.Topic(m.Topic)
	switch {
	case !ok:
		return nil, Partition{}, refuse(kerr.UnknownTopicOrPartition, "Unable to find a topic named %s.", m.Topic)
	case m.Partition < 0 || int(m.Partition) >= len(t.Partitions):
		return nil, Partition{}, refuse(kerr.UnknownTopicOrPartition, "Unable to find partition %s:%d.", m.Topic, m.Partition)
	}
	return t, t.Partitions[m.Partition], nil
}

// decideMove decides a reassignment of one partition, or its cancellation: that is
// a reassignment too, to the replicas that there were, since raft's voters may have
// changed already.
//
// Errors: INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR,
// NO_REASSIGNMENT_IN_PROGRESS. Source: ReplicationControlManager.alterPartitionReassignment,
// PartitionReassignmentReplicas, PartitionReassignmentRevert.
func decideMove(img *Image, p Partition, m Move, sameFactor bool) (Partition, error) {
	before := without(p.Replicas, p.Adding) // who held it when the reassignment began
	want := m.Replicas
	if want == nil {
		if !p.Moving() {
			return p, refuse(kerr.NoReassignmentInProgress, "No partition reassignment is in progress.")
		}
		want = before
	} else if err := checkReplicas(img, want); err != nil {
		return p, err
	} else if now := len(p.Target()); sameFactor && len(want) != now {
		return p, refuse(kerr.InvalidReplicationFactor, "The replication factor is changed from %d to %d", now, len(want))
	}
	next := p
	if !p.Founded {
		next.Founders = p.FoundedBy()
	}
	next.Removing = without(p.Replicas, want)
	slices.Sort(next.Removing)
	next.Adding = without(want, before)
	slices.Sort(next.Adding)
	next.Returning = both(want, slices.Concat(p.Removing, p.Returning))
	slices.Sort(next.Returning)
	next.Replicas = slices.Concat(want, next.Removing)
	return next, nil
}

// moved is what the controller found out about partitions: that their groups are
// there, or are where they were wanted.
type moved struct {
	Partitions []movedPartition `json:"partitions"`
}

type movedPartition struct {
	ID        UUID  `json:"id"`
	Partition int32 `json:"partition"`
	// Voters are the group's, when they are what was wanted; none: the group is
	// there.
	Voters []int32 `json:"voters,omitempty"`
}

// decideMoved takes note of it. What was found out about a wish that is no longer
// the newest is passed over.
func decideMoved(img *Image, found moved) []command {
	records := map[UUID]map[int32]Partition{}
	var order []UUID
	for _, f := range found.Partitions {
		t, ok := img.TopicByID(f.ID)
		if !ok || f.Partition < 0 || int(f.Partition) >= len(t.Partitions) {
			continue
		}
		p := t.Partitions[f.Partition]
		if changed, ok := records[f.ID][f.Partition]; ok {
			p = changed
		}
		switch {
		case len(f.Voters) == 0 && !p.Founded:
			p.Founded, p.Founders = true, nil
		case len(f.Voters) > 0 && p.Founded && p.Moving() && sameNodes(f.Voters, p.Target()):
			p.Replicas, p.Adding, p.Removing, p.Returning = p.Target(), nil, nil, nil
		default:
			continue
		}
		if records[f.ID] == nil {
			records[f.ID] = map[int32]Partition{}
			order = append(order, f.ID)
		}
		records[f.ID][f.Partition] = p
	}
	var commands []command
	for _, id := range order {
		commands = append(commands, command{ChangePartitions: &changePartitions{ID: id, Partitions: records[id]}})
	}
	return commands
}

func sameNodes(a, b []int32) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// Reassign asks for other replicas of partitions (AlterPartitionReassignments) and
// returns, in their order, why each was refused; nil where it was not. The
// controller does the work later. sameFactor refuses another number of replicas.
//
// Errors: NOT_CONTROLLER; of one move, those of decideMove.
func (m *Metadata) Reassign(ctx context.Context, asked []Move, sameFactor bool) (each []error, err error) {
	out, err := m.change(ctx, change{Moves: &moves{asked, sameFactor}})
	if err != nil {
		return nil, err
	}
	each = make([]error, len(asked))
	for i, r := range out.Refused {
		if r.Code != 0 && i < len(each) {
			each[i] = remoteError{text: r.Message, cause: kerr.ErrorForCode(r.Code)}
		}
	}
	return each, nil
}

// A GroupFound is what the controller found out about a partition's group.
type GroupFound struct {
	Topic     UUID
	Partition int32
	// Voters are the group's once they are what the partition's Target wants; nil
	// says only that the group is there.
	Voters []int32
}

// Moved ends reassignments whose groups have come to their targets, and notes that
// groups are there, which must be known before their voters are changed.
//
// Errors: NOT_CONTROLLER.
func (m *Metadata) Moved(ctx context.Context, found []GroupFound) error {
	var all moved
	for _, f := range found {
		all.Partitions = append(all.Partitions, movedPartition{f.Topic, f.Partition, f.Voters})
	}
	_, err := m.change(ctx, change{Moved: &all})
	return err
}
