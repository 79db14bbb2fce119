package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicElectPreferred = Case{
	ID:          "topic/elect/2",
	Title:       "replicas in another order change no leader; a preferred election has the first of them lead, in a newer epoch",
	Requirement: "KIP-183, KIP-455; ReplicationControlManager.electLeader",
	Level:       Must,
	Needs:       []Need{api(keyElectLeaders, 1), api(keyAlterReassignments, 0), {Brokers: 3}},
	Run: func(t *T) {
		nodes := t.cluster.nodes()
		p := t.assigned([]int32{nodes[0], nodes[1], nodes[2]}).at(0)
		t.fill(p, 2)
		t.mustCode("another order", t.reassign(p, []int32{nodes[1], nodes[0], nodes[2]}), codeNone)
		t.moved(p, []int32{nodes[1], nodes[0], nodes[2]})
		before := p.topic.epochs[0]
		t.equal("leader before", p.leader(), nodes[0])
		t.settle("election", func(code int16) bool { return code == codePreferredNotAvailable }, func() int16 { return t.electLeader(electPreferred, p) })
		t.until("leader", func() (string, bool) {
			seen, ok := t.located(p.topic, 1)
			if !ok {
				return seen, false
			}
			return fmt.Sprintf("leader %d", p.leader()), p.leader() == nodes[1]
		})
		t.record("leader epoch", p.topic.epochs[0] > before, fmt.Sprintf("above %d", before), fmt.Sprint(p.topic.epochs[0]))
		t.code("once more", t.electLeader(electPreferred, p), codeElectionNotNeeded)
		t.fill(p, 1)
		t.equal("records", len(t.values(p)), 3)
	},
}

// assigned makes a topic of one partition on these brokers.
func (t *T) assigned(replicas []int32) *topic {
	tp := &topic{name: t.name("topic")}
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = tp.name, -1, -1
	a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	a.Replicas = replicas
	one.ReplicaAssignment = append(one.ReplicaAssignment, a)
	t.mustCode("CreateTopics "+tp.name, t.sendCreate(one).ErrorCode, codeNone)
	t.until("metadata and leaders of "+tp.name, func() (string, bool) { return t.located(tp, 1) })
	return tp
}
