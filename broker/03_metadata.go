package broker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Authorized operations are bits by the numbers of Kafka's AclOperation. Without
// an authorizer a client may do all that there is.
const (
	clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
)

// autoCreateTime bounds how long one request creates topics and waits for them.
const autoCreateTime = 10 * time.Second

// Metadata: v0-13
//
//   - Null topics are all, an empty list is none; in v0 the empty list is all.
//   - A topic that is created by asking is answered when its partitions have
//     leaders, so that the client need not ask again.
//   - Topics are created for ten seconds; what that was too short for is
//     LEADER_NOT_AVAILABLE, for which clients ask again, and no more are created.
//   - A leader is named once it serves (hard-31), and by itself for as long as it
//     knows of no other (hard-26).
//   - When an id is given, names are not looked at: Kafka's AdminClient gives an
//     empty one beside the id.
//
// Versions: v1 controller id; v2 cluster id; v4 auto creation may be refused; v7 leader epochs; v8 authorized operations; v10 topic ids (KIP-516); v12 names may be null; v13 top-level error (KIP-1102).
func (b *Broker) handleMetadata(ctx context.Context, req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse) error {
	image := b.image()
	resp.ClusterID = &image.ClusterID
	resp.ControllerID = b.controllerID()
	for _, node := range image.Brokers() {
		if b.fenced(node.ID) {
			continue
		}
		one := kmsg.NewMetadataResponseBroker()
		one.NodeID = node.ID
		one.Host, one.Port = b.addressFor(ctx, node)
		if node.Rack != "" {
			one.Rack = &node.Rack
		}
		resp.Brokers = append(resp.Brokers, one)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		set := b.topics.load()
		var all []*topic
		for _, one := range set.image.Topics() {
			if t, ok := set.byID(one.ID); ok {
				all = append(all, t)
			}
		}
		elsewhere := b.elsewhere(ctx, all...)
		for _, t := range all {
			resp.Topics = append(resp.Topics, b.describeMetadata(req, t, elsewhere))
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, autoCreateTime)
	defer cancel()
	topics := req.Topics
	if slices.ContainsFunc(topics, byID) {
		topics = slices.DeleteFunc(slices.Clone(topics), func(asked kmsg.MetadataRequestTopic) bool { return !byID(asked) })
	}
	for _, asked := range topics {
		resp.Topics = append(resp.Topics, b.metadataOf(ctx, req, asked))
	}
	return nil
}

// byID reports whether a topic is asked by its id.
func byID(asked kmsg.MetadataRequestTopic) bool { return asked.TopicID != [16]byte{} }

// metadataOf answers for one topic that was asked by name or id.
func (b *Broker) metadataOf(ctx context.Context, req *kmsg.MetadataRequest, asked kmsg.MetadataRequestTopic) kmsg.MetadataResponseTopic {
	var t *topic
	var err error
	switch {
	case req.Version < 12 && (asked.Topic == nil || byID(asked)): // v10 and v11 have the fields, not the meaning
		err = refuse(kerr.InvalidRequest, "Topic IDs are not supported for versions 10 and 11. Topic names can not be null for versions 10 and 11.")
	case asked.Topic != nil && !byID(asked):
		t, err = b.topicToDescribe(ctx, *asked.Topic, b.mayCreate(req))
	default:
		var ok bool
		if t, ok = b.topics.load().byID(asked.TopicID); !ok {
			err, asked.Topic = kerr.UnknownTopicID, nil
		}
	}
	if err == nil {
		return b.describeMetadata(req, t, b.elsewhere(ctx, t))
	}
	answer := kmsg.NewMetadataResponseTopic()
	answer.ErrorCode, answer.Topic, answer.TopicID = protocol.Code(err), asked.Topic, asked.TopicID
	if answer.Topic == nil && req.Version < 12 {
		answer.Topic = new(string)
	}
	answer.IsInternal = asked.Topic != nil && cluster.IsInternal(*asked.Topic)
	b.logUnexpected("metadata failed", err)
	return answer
}

func (b *Broker) mayCreate(req *kmsg.MetadataRequest) bool {
	return (req.AllowAutoTopicCreation || req.Version < 4) && b.settings().autoCreateTopics
}

// topicToDescribe finds a topic by name, and creates it if it may.
func (b *Broker) topicToDescribe(ctx context.Context, name string, create bool) (*topic, error) {
	if t, ok := b.topics.load().byName(name); ok {
		return t, nil
	}
	if err := cluster.CheckTopicName(name); err != nil {
		return nil, err
	}
	if !create {
		return nil, kerr.UnknownTopicOrPartition
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("topic %q was not created, the request's time is over: %w", name, kerr.LeaderNotAvailable)
	}
	if err := b.autoCreate(ctx, name); protocol.Code(err) == kerr.RequestTimedOut.Code {
		return nil, fmt.Errorf("topic %q is being created: %w", name, kerr.LeaderNotAvailable)
	} else if err != nil {
		return nil, err
	}
	t, ok := b.topics.load().byName(name)
	if !ok {
		return nil, fmt.Errorf("topic %q is not served yet: %w", name, kerr.LeaderNotAvailable)
	}
	return t, nil
}

func (b *Broker) autoCreate(ctx context.Context, name string) error {
	if name == offsetsTopic || name == txnTopic {
		return b.ensureInternal(ctx, name)
	}
	making, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	_, err := b.makeTopic(making, cluster.TopicSpec{Name: name, Partitions: -1, ReplicationFactor: -1})
	if existing(err) == nil {
		return b.topics.settle(ctx)
	}
	return err
}

// describeMetadata answers for a topic that exists.
func (b *Broker) describeMetadata(req *kmsg.MetadataRequest, t *topic, elsewhere map[replication.PartitionID]partitionState) kmsg.MetadataResponseTopic {
	answer := kmsg.NewMetadataResponseTopic()
	answer.Topic, answer.TopicID, answer.IsInternal = &t.Name, t.ID, t.Internal
	if req.IncludeTopicAuthorizedOperations {
		answer.AuthorizedOperations = topicOperations
	}
	answer.Partitions = make([]kmsg.MetadataResponseTopicPartition, 0, len(t.partitions))
	for i := range t.partitions {
		state := b.stateOf(t, i, elsewhere)
		one := kmsg.NewMetadataResponseTopicPartition()
		one.Partition, one.Leader, one.LeaderEpoch = int32(i), state.leader, state.epoch
		one.Replicas, one.ISR, one.OfflineReplicas = state.replicas, state.inSync, state.offline
		if state.leader < 0 {
			one.ErrorCode = kerr.LeaderNotAvailable.Code
		}
		answer.Partitions = append(answer.Partitions, one)
	}
	return answer
}

// A partitionState is what clients are told of a partition. No list is nil;
// the leader is -1 while none serves.
type partitionState struct {
	leader, epoch             int32
	replicas, inSync, offline []int32
}

// stateOf tells the state of a partition as this node knows it; elsewhere has
// those of which it holds no replica. A leader that is silent is none.
func (b *Broker) stateOf(t *topic, partition int, elsewhere map[replication.PartitionID]partitionState) partitionState {
	if known, ok := elsewhere[t.partitionID(partition)]; ok {
		return known
	}
	state := partitionState{leader: -1, epoch: -1, replicas: t.Partitions[partition].Replicas, inSync: []int32{}, offline: []int32{}}
	if t.partitions[partition] == nil && t.isHere(partition, b.nodeID()) {
		state.offline = []int32{b.nodeID()}
		return state
	}
	if p := t.partitions[partition]; p != nil && (b.served(p.Leadership()) || p.Leadership().Stranded) {
		l := p.Leadership()
		state.leader, state.epoch, state.inSync = l.Leader, l.Epoch, b.inSync(t, partition)
	}
	return state
}
