package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
)

// A placed partition is one of the metadata, by its topic.
type placed struct {
	topic     *cluster.Topic
	partition int32
}

func (p placed) id() replication.PartitionID {
	return replication.PartitionID{TopicID: p.topic.ID, Partition: p.partition}
}

func (p placed) record() *cluster.Partition { return &p.topic.Partitions[p.partition] }

// leadersOf asks all nodes that hold partitions who leads them, and believes who
// knows the newest epoch, the leader itself before the others. What nobody knows
// of is left out.
func (b *Broker) leadersOf(ctx context.Context, partitions []placed) map[replication.PartitionID]peerState {
	asked := map[int32][]replication.PartitionID{}
	for _, p := range partitions {
		for _, node := range p.record().Replicas {
			if b.node.Hears(node) {
				asked[node] = append(asked[node], p.id())
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, elsewherePatience)
	defer cancel()
	var mu sync.Mutex
	found := map[replication.PartitionID]peerState{}
	var crew crew
	for node, ids := range asked {
		crew.run(func() {
			answers, err := b.askStates(ctx, node, ids)
			if err != nil {
				b.logger.Debug("a node did not say who leads its partitions", "peer", node, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for i, id := range ids {
				known, ok := found[id]
				if s := answers[i]; s.Leader >= 0 && (!ok || s.Epoch > known.Epoch || s.Epoch == known.Epoch && s.Leader == node) {
					found[id] = s
				}
			}
		})
	}
	crew.wait()
	return found
}

// askStates asks a node, which may be this one, what it knows of partitions.
func (b *Broker) askStates(ctx context.Context, node int32, ids []replication.PartitionID) ([]peerState, error) {
	if node == b.nodeID() {
		return b.peerStatesHere(ids), nil
	}
	answers, err := askPeer[[]replication.PartitionID, []peerState](ctx, b, node, peerStates, ids)
	if err == nil && len(answers) != len(ids) {
		err = fmt.Errorf("%d answers for %d partitions", len(answers), len(ids))
	}
	return answers, err
}

// A partitionYield asks the leader of a partition to hand over.
type partitionYield struct {
	ID replication.PartitionID `json:"id"`
	To int32                   `json:"to"`
}

// How many leaderships and members of partitions a node changes at a time, and
// how long one request goes on with it.
const (
	movesAtOnce = 32
	moveTime    = 2 * time.Second
)

// yieldHere hands leaderships of this node over.
func (b *Broker) yieldHere(ctx context.Context, all []partitionYield) []peerError {
	return eachOf(ctx, all, func(ctx context.Context, y partitionYield) error {
		p := b.node.Partition(y.ID)
		if p == nil {
			return fmt.Errorf("node %d has no replica of %v: %w", b.nodeID(), y.ID, kerr.NotLeaderForPartition)
		}
		if !slices.Contains(p.Voters(), y.To) {
			return fmt.Errorf("node %d is no voter of %v: %w", y.To, y.ID, kerr.PreferredLeaderNotAvailable)
		}
		return p.Transfer(ctx, y.To)
	})
}

// eachOf does something for each of many, some at a time.
func eachOf[T any](ctx context.Context, all []T, do func(context.Context, T) error) []peerError {
	ctx, cancel := context.WithTimeout(ctx, moveTime)
	defer cancel()
	answers := make([]peerError, len(all))
	room := make(chan struct{}, movesAtOnce)
	var crew crew
	for i, one := range all {
		room <- struct{}{}
		crew.run(func() {
			defer func() { <-room }()
			err := ctx.Err()
			if err == nil {
				err = do(ctx, one)
			}
			answers[i] = peerErrorOf(err)
		})
	}
	crew.wait()
	return answers
}

// askLeaders asks the leaders of partitions something, one call to a node, and
// returns what each said. Of whom nothing was heard the answer is NETWORK_EXCEPTION.
func askLeaders[Q any](ctx context.Context, b *Broker, what byte, questions map[int32][]Q, here func(context.Context, []Q) []peerError) map[int32][]error {
	var mu sync.Mutex
	answers := map[int32][]error{}
	var crew crew
	for node, all := range questions {
		crew.run(func() {
			var out []peerError
			var err error
			if node == b.nodeID() {
				out = here(ctx, all)
			} else if out, err = askPeer[[]Q, []peerError](ctx, b, node, what, all); err == nil && len(out) != len(all) {
				err = fmt.Errorf("%d answers to %d questions: %w", len(out), len(all), kerr.NetworkException)
			}
			each := make([]error, len(all))
			for i := range each {
				if each[i] = err; err == nil {
					each[i] = out[i].err(node)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			answers[node] = each
		})
	}
	crew.wait()
	return answers
}

// electPreferred has the preferred replica of each partition lead it, and returns
// why not, in their order; nil where it leads now.
//
// Errors: ELECTION_NOT_NEEDED, PREFERRED_LEADER_NOT_AVAILABLE. Source:
// ReplicationControlManager.electLeader.
func (b *Broker) electPreferred(ctx context.Context, partitions []placed) []error {
	states := b.leadersOf(ctx, partitions)
	each := make([]error, len(partitions))
	yields, asked := map[int32][]partitionYield{}, map[int32][]int{}
	for i, p := range partitions {
		preferred := p.record().Replicas[0]
		state, led := states[p.id()]
		switch {
		case led && state.Leader == preferred:
			each[i] = kerr.ElectionNotNeeded
		case !led || !slices.Contains(state.InSync, preferred) || !b.node.Hears(preferred):
			each[i] = kerr.PreferredLeaderNotAvailable
		default:
			yields[state.Leader] = append(yields[state.Leader], partitionYield{p.id(), preferred})
			asked[state.Leader] = append(asked[state.Leader], i)
		}
	}
	var moved []placed
	for node, answers := range askLeaders(ctx, b, peerYields, yields, b.yieldHere) {
		for i, err := range answers {
			at := asked[node][i]
			if err != nil {
				b.logger.Info("the preferred replica does not lead", "topic", partitions[at].topic.Name, "partition", partitions[at].partition, "error", err)
				each[at] = refuse(kerr.PreferredLeaderNotAvailable, "%v", err)
				continue
			}
			moved = append(moved, partitions[at])
		}
	}
	b.awaitPreferred(ctx, moved)
	return each
}

// settleElected bounds the wait for leaders that were just elected to serve.
const settleElected = time.Second

// awaitPreferred waits, bounded, until the preferred replicas serve, so that who
// asks next hears of them.
func (b *Broker) awaitPreferred(ctx context.Context, partitions []placed) {
	ctx, cancel := context.WithTimeout(ctx, settleElected)
	defer cancel()
	for len(partitions) > 0 {
		states := b.leadersOf(ctx, partitions)
		partitions = slices.DeleteFunc(partitions, func(p placed) bool {
			state, led := states[p.id()]
			return led && state.Leader == p.record().Replicas[0]
		})
		select {
		case <-time.After(moveRest):
		case <-ctx.Done():
			return
		}
	}
}

// handoverTime bounds how long a broker that stops hands its leaderships over.
const handoverTime = 5 * time.Second

// handOver gives this node's leaderships away before it stops (Kafka's controlled
// shutdown).
func (b *Broker) handOver(ctx context.Context) {
	if b.node == nil || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handoverTime)
	defer cancel()
	b.node.Handover(ctx)
}
