package cluster

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A Recovery is how a partition went on without the majority of its voters
// (hard-23, Kafka's unclean leader election): the survivor's log in a term of its
// own, in a new generation. See replication.Recovery.
type Recovery struct {
	Generation uint32 `json:"generation"` // from 1
	Survivor   int32  `json:"survivor"`   // -1 once its log went on: others may follow it
	Term       uint64 `json:"term"`
}

// maxTerm bounds the term of a recovery: leader epochs are int32 on the wire, and
// elections go on after it.
const maxTerm = 1 << 30

// Generation counts the recoveries of the partition.
func (p *Partition) Generation() uint32 {
	if p.Recovery == nil {
		return 0
	}
	return p.Recovery.Generation
}

// Voted are the replicas of which a majority elects the leader, as far as the
// metadata knows; the partition's own group may be further on its way to the Target.
func (p *Partition) Voted() []int32 {
	if p.Recovery != nil && p.Moving() {
		return without(p.Replicas, p.Adding)
	}
	return p.Target()
}

// A recoveryWant asks to go on without the majority.
type recoveryWant struct {
	ID        UUID     `json:"id"`
	Partition int32    `json:"partition"`
	Recovery  Recovery `json:"recovery"`
}

// decideRecovery decides it: the generation is the next one, or the newest, whose
// survivor went on. The replicas that are to be stay the same; all but the
// survivor come to the group anew.
//
// Errors: UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST when another recovery came
// in between, INVALID_REPLICA_ASSIGNMENT when the survivor holds no replica.
func decideRecovery(img *Image, want recoveryWant) ([]command, error) {
	t, ok := img.TopicByID(want.ID)
	if !ok || want.Partition < 0 || int(want.Partition) >= len(t.Partitions) {
		return nil, refuse(kerr.UnknownTopicOrPartition, "Unable to find partition %s:%d.", want.ID, want.Partition)
	}
	next, r := t.Partitions[want.Partition], want.Recovery
	switch {
	case r.Survivor < 0 && r.Generation == next.Generation() && next.Recovery != nil:
	case r.Generation != next.Generation()+1 || r.Survivor < 0:
		return nil, refuse(kerr.InvalidRequest, "generation %d of %s-%d does not follow generation %d", r.Generation, t.Name, want.Partition, next.Generation())
	case r.Term > maxTerm || next.Recovery != nil && r.Term <= next.Recovery.Term:
		return nil, refuse(kerr.InvalidRequest, "term %d of %s-%d is none that can follow", r.Term, t.Name, want.Partition)
	case !slices.Contains(next.Replicas, r.Survivor):
		return nil, refuse(kerr.InvalidReplicaAssignment, "broker %d holds no replica of %s-%d", r.Survivor, t.Name, want.Partition)
	default:
		target := next.Target()
		next.Founded, next.Founders = true, nil
		next.Adding = without(target, []int32{r.Survivor})
		slices.Sort(next.Adding)
		next.Removing, next.Returning = without([]int32{r.Survivor}, target), nil
		next.Replicas = slices.Concat(target, next.Removing)
	}
	next.Recovery = &r
	return []command{{ChangePartitions: &changePartitions{ID: t.ID, Partitions: map[int32]Partition{want.Partition: next}}}}, nil
}

// Recover has a partition go on without the majority of its voters.
//
// Errors: those of decideRecovery, NOT_CONTROLLER.
func (m *Metadata) Recover(ctx context.Context, topic UUID, partition int32, r Recovery) error {
	_, err := m.change(ctx, change{Recover: &recoveryWant{ID: topic, Partition: partition, Recovery: r}})
	return err
}

// Recovered says that the survivor's log went on: from now on it is a replica
// like the others, which does not found the generation again when it lost its log.
//
// Errors: as Recover.
func (m *Metadata) Recovered(ctx context.Context, topic UUID, partition int32, r Recovery) error {
	r.Survivor = -1
	return m.Recover(ctx, topic, partition, r)
}
