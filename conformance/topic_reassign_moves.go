package conformance

import (
	"fmt"
	"slices"
)

var topicReassignMoves = Case{
	ID:          "topic/reassign/2",
	Title:       "a partition moves to other brokers with all its records and goes on there; its replication factor changes only if it may",
	Requirement: "KIP-455, KIP-860; ReplicationControlManager.alterPartitionReassignments",
	Level:       Must,
	Needs:       []Need{api(keyAlterReassignments, 1), api(keyListReassignments, 0), {Brokers: 3}},
	Run: func(t *T) {
		nodes := t.cluster.nodes()
		p := t.assigned([]int32{nodes[0]}).at(0)
		t.fill(p, 5)
		wish := []int32{nodes[2], nodes[1]}
		t.code("to two, which may not be", t.alterReassignments(p.topic, 0, [][]int32{wish}, false)[0], codeInvalidReplication)
		t.equal("replicas after the refusal", t.replicas(t.any(), p), []int32{nodes[0]})
		t.mustCode("to two others", t.reassign(p, wish), codeNone)
		t.moved(p, wish)
		t.equal("is the leader one of them", slices.Contains(wish, p.leader()), true)
		t.fill(p, 2)
		t.equal("records", len(t.values(p)), 7)
		t.equal("high watermark", t.highWatermark(p), 7)
		t.code("cancelled afterwards", t.reassign(p, nil), codeNoReassignment)
		t.mustCode("back to the one", t.reassign(p, []int32{nodes[0]}), codeNone)
		t.moved(p, []int32{nodes[0]})
		t.equal("records afterwards", len(t.values(p)), 7)
	},
}

// moved waits until a partition does not move any more, every broker knows that it
// has these replicas, and it is led.
func (t *T) moved(p partition, replicas []int32) {
	t.until("end of the reassignment", func() (string, bool) {
		if moving := t.reassigning(p.topic, p.index+1); len(moving) > 0 {
			return fmt.Sprintf("adding %v, removing %v", moving[0].AddingReplicas, moving[0].RemovingReplicas), false
		}
		for _, node := range t.cluster.nodes() {
			if has := t.replicas(node, p); !slices.Equal(has, replicas) {
				return fmt.Sprintf("node %d: replicas %v", node, has), false
			}
		}
		return t.located(p.topic, len(p.topic.leaders))
	})
}
