package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
)

// elsewherePatience bounds how long a request waits for what another node knows.
const elsewherePatience = 500 * time.Millisecond

// A peerState is what a node says of a partition of which it holds a replica.
type peerState struct {
	Leader int32   `json:"leader"` // -1: none that it hears
	Epoch  int32   `json:"epoch"`
	InSync []int32 `json:"inSync"`
}

func (t *topic) partitionID(i int) replication.PartitionID {
	return replication.PartitionID{TopicID: t.ID, Partition: int32(i)}
}

// elsewhere asks others for the partitions of which this node holds no replica,
// one call to a node. What nobody says has no leader here.
func (b *Broker) elsewhere(ctx context.Context, topics ...*topic) map[replication.PartitionID]partitionState {
	asked := map[int32][]replication.PartitionID{}
	found := map[replication.PartitionID]partitionState{}
	for _, t := range topics {
		for i := range t.partitions {
			if t.isHere(i, b.nodeID()) {
				continue
			}
			found[t.partitionID(i)] = partitionState{leader: -1, epoch: -1, replicas: t.Partitions[i].Replicas, inSync: []int32{}, offline: []int32{}}
			for _, node := range holders(&t.Partitions[i]) {
				if b.node.Hears(node) {
					asked[node] = append(asked[node], t.partitionID(i))
					break
				}
			}
		}
	}
	if len(asked) == 0 {
		return found
	}
	ctx, cancel := context.WithTimeout(ctx, elsewherePatience)
	defer cancel()
	var mu sync.Mutex
	var crew crew
	for node, ids := range asked {
		crew.run(func() {
			answers, err := askPeer[[]replication.PartitionID, []peerState](ctx, b, node, peerStates, ids)
			if err == nil && len(answers) != len(ids) {
				err = fmt.Errorf("%d answers for %d partitions", len(answers), len(ids))
			}
			if err != nil {
				b.logger.Debug("a node did not say who leads its partitions", "peer", node, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for i, id := range ids {
				state := found[id]
				if state.leader, state.epoch = answers[i].Leader, answers[i].Epoch; answers[i].InSync != nil {
					state.inSync = answers[i].InSync
				}
				found[id] = state
			}
		})
	}
	crew.wait()
	return found
}

// holders lists the replicas, those last that are only coming, or coming back, and
// may know of no leader yet.
func holders(p *cluster.Partition) []int32 {
	coming := slices.Concat(p.Returning, p.Adding)
	return slices.Concat(slices.DeleteFunc(slices.Clone(p.Replicas), func(id int32) bool { return slices.Contains(coming, id) }), coming)
}

// peerStatesHere answers elsewhere on another node.
func (b *Broker) peerStatesHere(ids []replication.PartitionID) []peerState {
	set := b.topics.load()
	answers := make([]peerState, len(ids))
	for i, id := range ids {
		answers[i] = peerState{Leader: -1, Epoch: -1}
		t, ok := set.byID(cluster.UUID(id.TopicID))
		if ok && id.Partition >= 0 && int(id.Partition) < len(t.partitions) {
			if p := t.partitions[id.Partition]; p != nil && p.Leadership().Stranded {
				continue // another may lead, and the node that asks may hear it
			}
			state := b.stateOf(t, int(id.Partition), nil)
			answers[i] = peerState{state.leader, state.epoch, state.inSync}
		}
	}
	return answers
}

// A servedQuestion asks a node to answer when it serves a topic.
type servedQuestion struct {
	Topic      cluster.UUID `json:"topic"`
	Partitions int          `json:"partitions"`
}

// awaitServed waits until this node serves so many partitions of a topic and
// knows their leaders, as long as ctx lasts, and then until the others that
// answer do, settleTime at most: whoever was told that a topic is made may ask
// any of them.
func (b *Broker) awaitServed(ctx context.Context, id cluster.UUID, partitions int) error {
	if err := b.topics.waitReady(ctx, id, partitions); err != nil || !b.plan.joins() {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	var crew crew
	for _, node := range b.image().Brokers() {
		if node.ID == b.nodeID() || !b.node.Hears(node.ID) {
			continue
		}
		crew.run(func() {
			answer, err := askPeer[servedQuestion, peerError](asking, b, node.ID, peerOpened, servedQuestion{id, partitions})
			if err == nil {
				err = answer.err(node.ID)
			}
			if err != nil {
				b.logger.Debug("a node does not serve a new topic yet", "peer", node.ID, "topic_id", id, "error", err)
			}
		})
	}
	crew.wait()
	return nil
}

// leaderOf is who leads a partition, wherever its replicas are; -1 for nobody
// that this node knows.
func (b *Broker) leaderOf(ctx context.Context, t *topic, partition int32) int32 {
	if p := t.partitions[partition]; p != nil {
		return p.Leadership().Serving()
	}
	return b.stateOf(t, int(partition), b.elsewhere(ctx, t)).leader
}
