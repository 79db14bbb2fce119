package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var produceLeaderNamed = Case{
	ID:          "produce/leader/1",
	Title:       "a produce to a broker that does not lead names the leader and where it is",
	Requirement: "KIP-951; KafkaApis.handleProduceRequest; Produce 10",
	Level:       Must,
	Needs:       []Need{api(keyProduce, 10), {Brokers: 3}},
	Run: func(t *T) {
		for _, one := range t.misled() {
			resp := ask[*kmsg.ProduceResponse](t, one.node, t.produceRequest(one.partition, call{}, plain("a").encode()))
			answer := t.produced(resp)
			t.code(one.what, answer.ErrorCode, codeNotLeaderOrFollower)
			leader := endpoint{answer.CurrentLeader.LeaderID, answer.CurrentLeader.LeaderEpoch, nil}
			for _, b := range resp.Brokers {
				leader.at = append(leader.at, fmt.Sprintf("%d at %s:%d", b.NodeID, b.Host, b.Port))
			}
			t.equal(one.what+", leader", leader, t.endpointOf(one.partition))
			older := t.produced(ask[*kmsg.ProduceResponse](t, one.node, t.produceRequest(one.partition, call{version: at(9)}, plain("a").encode())))
			t.equal(one.what+", leader in version 9", older.CurrentLeader.LeaderID, -1)
		}
	},
}

// An endpoint is a partition's leader as an answer names it.
type endpoint struct {
	id, epoch int32
	at        []string // the brokers whose addresses it has
}

// endpointOf is the leader of a partition as an answer should name it.
func (t *T) endpointOf(p partition) endpoint {
	id := p.leader()
	return endpoint{id, p.topic.epochs[p.index], []string{fmt.Sprintf("%d at %s", id, t.cluster.brokers[id])}}
}

// A misled request is for a partition that its broker does not lead.
type misled struct {
	what string
	node int32
	partition
}

// misled are requests to a follower and to a broker without a replica.
func (t *T) misled() []misled {
	nodes := t.cluster.nodes()
	tp := &topic{name: t.name("topic")}
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = tp.name, -1, -1
	for i, replicas := range [][]int32{{nodes[0], nodes[1]}, {nodes[0], nodes[1]}} {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(i), replicas
		one.ReplicaAssignment = append(one.ReplicaAssignment, a)
	}
	t.mustCode("CreateTopics "+tp.name, t.sendCreate(one).ErrorCode, codeNone)
	t.until("metadata and leaders of "+tp.name, func() (string, bool) { return t.located(tp, 2) })
	follower := func(p partition) int32 {
		if p.leader() == nodes[0] {
			return nodes[1]
		}
		return nodes[0]
	}
	return []misled{
		{"asked of a follower", follower(tp.at(0)), tp.at(0)},
		{"asked of a broker without a replica", nodes[2], tp.at(1)},
	}
}
