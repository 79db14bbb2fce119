package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
)

// A quorumState is what the metadata's leader says of its group.
type quorumState struct {
	Leader        int32         `json:"leader"` // -1: the one that was asked does not lead
	Epoch         int32         `json:"epoch"`
	HighWatermark int64         `json:"highWatermark"`
	Members       []quorumShare `json:"members"`
}

// A quorumShare is one node's part; times are ms of the Unix epoch, -1 for never.
type quorumShare struct {
	Node      int32 `json:"node"`
	Voter     bool  `json:"voter"`
	EndOffset int64 `json:"endOffset"` // -1: the leader has not heard of it
	Contact   int64 `json:"contact"`
	CaughtUp  int64 `json:"caughtUp"`
}

// quorumHere is the state of the metadata's group if this node leads it.
func (b *Broker) quorumHere() quorumState {
	group := b.metadata.Group()
	l := group.Leadership()
	if !l.Ready {
		return quorumState{Leader: -1}
	}
	state := quorumState{Leader: l.Leader, Epoch: l.Epoch, HighWatermark: group.HighWatermark()}
	for _, m := range group.Members() {
		state.Members = append(state.Members, shareOf(m))
	}
	return state
}

func shareOf(m replication.Member) quorumShare {
	share := quorumShare{Node: m.Node, Voter: m.Voter, EndOffset: m.EndOffset, Contact: unixMilli(m.Contact), CaughtUp: unixMilli(m.CaughtUp)}
	if share.Contact < 0 {
		share.EndOffset = -1
	}
	return share
}

// unixMilli is -1 for a time that never was.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

// quorum asks the metadata's leader, wherever it is.
//
// Errors: NOT_LEADER_OR_FOLLOWER while there is none that answers.
func (b *Broker) quorum(ctx context.Context) (quorumState, error) {
	leader := b.metadata.Leader()
	state := quorumState{Leader: -1}
	var err error
	if leader == b.nodeID() {
		state = b.quorumHere()
	} else if leader >= 0 {
		ctx, cancel := context.WithTimeout(ctx, settleTime)
		defer cancel()
		state, err = askPeer[struct{}, quorumState](ctx, b, leader, peerQuorum, struct{}{})
	}
	if err != nil || state.Leader < 0 {
		return state, fmt.Errorf("the metadata has no leader that answers (%w): %w", err, kerr.NotLeaderForPartition)
	}
	return state, nil
}

// DescribeQuorum: v0-2
//
//   - There is one quorum, that of the metadata: partition 0 of __cluster_metadata.
//   - Observers are the brokers that follow it without a vote.
//   - A node has no directory id: a node that lost its disk is known by its node id alone.
//
// Versions: v1 times of each replica (KIP-836); v2 directory ids, nodes and messages (KIP-853).
func (b *Broker) describeQuorum(ctx context.Context, req *kmsg.DescribeQuorumRequest, resp *kmsg.DescribeQuorumResponse) error {
	known := len(req.Topics) == 1 && req.Topics[0].Topic == cluster.MetadataTopic && len(req.Topics[0].Partitions) == 1 && req.Topics[0].Partitions[0].Partition == 0
	var state quorumState
	var err error = kerr.UnknownTopicOrPartition
	if known {
		state, err = b.quorum(ctx)
	}
	for _, t := range req.Topics {
		topic := kmsg.NewDescribeQuorumResponseTopic()
		topic.Topic = t.Topic
		for _, asked := range t.Partitions {
			p := kmsg.NewDescribeQuorumResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = asked.Partition, protocol.Code(err), protocol.Message(err)
			if err == nil {
				state.describe(&p)
				resp.Nodes = b.quorumNodes(state)
			}
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return nil
}

func (s quorumState) describe(p *kmsg.DescribeQuorumResponseTopicPartition) {
	p.LeaderID, p.LeaderEpoch, p.HighWatermark = s.Leader, s.Epoch, s.HighWatermark
	for _, m := range s.Members {
		one := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
		one.ReplicaID, one.LogEndOffset, one.LastFetchTimestamp, one.LastCaughtUpTimestamp = m.Node, m.EndOffset, m.Contact, m.CaughtUp
		if m.Voter {
			p.CurrentVoters = append(p.CurrentVoters, one)
		} else {
			p.Observers = append(p.Observers, one)
		}
	}
}

// quorumNodes says where the voters are; a broker that is alone listens for none.
func (b *Broker) quorumNodes(s quorumState) []kmsg.DescribeQuorumResponseNode {
	var nodes []kmsg.DescribeQuorumResponseNode
	image := b.image()
	for _, m := range s.Members {
		known, ok := image.Broker(m.Node)
		if !ok || !m.Voter {
			continue
		}
		node := kmsg.NewDescribeQuorumResponseNode()
		node.NodeID = m.Node
		if known.Address != "" && b.plan.controller != nil {
			host, port := splitHostPort(known.Address)
			listener := kmsg.NewDescribeQuorumResponseNodeListener()
			listener.Name, listener.Host, listener.Port = b.plan.controller.name, host, uint16(port)
			node.Listeners = append(node.Listeners, listener)
		}
		nodes = append(nodes, node)
	}
	return nodes
}
