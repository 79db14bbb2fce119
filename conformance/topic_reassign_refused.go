package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicReassignRefused = Case{
	ID:          "topic/reassign/1",
	Title:       "each partition of AlterPartitionReassignments is judged for itself; where nothing moves nothing is listed and nothing cancelled",
	Requirement: "KIP-455; ReplicationControlManager.alterPartitionReassignments",
	Level:       Must,
	Needs:       []Need{api(keyAlterReassignments, 0), api(keyListReassignments, 0)},
	Run: func(t *T) {
		tp := t.newTopic(6)
		here := tp.leaders
		none := int32(1<<31 - 1) // no broker
		codes := t.alterReassignments(tp, 0, [][]int32{{none}, {here[1], here[1]}, {}, nil, {here[4]}, {-1}, {here[0]}}, true)
		t.code("to a broker that is not there", codes[0], codeInvalidAssignment)
		t.code("to one broker twice", codes[1], codeInvalidAssignment)
		t.code("to nobody", codes[2], codeInvalidAssignment)
		t.code("cancelled, though it does not move", codes[3], codeNoReassignment)
		t.code("to where it is", codes[4], codeNone)
		t.code("to a negative broker", codes[5], codeInvalidAssignment)
		t.code("of a partition that is not there", codes[6], codeUnknownTopicOrPartition)
		ghost := &topic{name: t.name("ghost")}
		t.code("of a topic that is not there", t.reassign(ghost.at(0), []int32{here[0]}), codeUnknownTopicOrPartition)
		t.equal("listed of the topic", len(t.reassigning(tp, 6)), 0)
		t.equal("listed of a topic that is not there", len(t.reassigning(ghost, 1)), 0)
		for i := range int32(6) {
			t.equal(fmt.Sprintf("replicas of partition %d", i), t.replicas(t.any(), tp.at(i)), []int32{here[i]})
		}
	},
}

// reassign asks for the replicas of one partition; nil cancels.
func (t *T) reassign(p partition, replicas []int32) int16 {
	return t.alterReassignments(p.topic, p.index, [][]int32{replicas}, true)[0]
}

// alterReassignments sends AlterPartitionReassignments for partitions from first on.
// Whether the number of replicas may change is asked from v1 on.
func (t *T) alterReassignments(tp *topic, first int32, replicas [][]int32, otherFactor bool) []int16 {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Version = t.newest(req, -1)
	req.TimeoutMillis, req.AllowReplicationFactorChange = 10000, otherFactor
	one := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	one.Topic = tp.name
	for i, r := range replicas {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = first+int32(i), r
		one.Partitions = append(one.Partitions, p)
	}
	req.Topics = append(req.Topics, one)
	resp := ask[*kmsg.AlterPartitionAssignmentsResponse](t, t.any(), req)
	t.mustCode("AlterPartitionReassignments", resp.ErrorCode, codeNone)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != len(replicas) {
		t.fatalf("AlterPartitionReassignments", fmt.Sprintf("%d partitions answered", len(replicas)), "%d topics", len(resp.Topics))
	}
	codes := make([]int16, len(replicas))
	for _, p := range resp.Topics[0].Partitions {
		if i := p.Partition - first; i >= 0 && int(i) < len(codes) {
			codes[i] = p.ErrorCode
		}
	}
	return codes
}

// reassigning lists what ListPartitionReassignments says of a topic's partitions.
func (t *T) reassigning(tp *topic, partitions int32) []kmsg.ListPartitionReassignmentsResponseTopicPartition {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.Version = t.newest(req, -1)
	req.TimeoutMillis = 10000
	one := kmsg.NewListPartitionReassignmentsRequestTopic()
	one.Topic = tp.name
	for i := range partitions {
		one.Partitions = append(one.Partitions, i)
	}
	req.Topics = append(req.Topics, one)
	resp := ask[*kmsg.ListPartitionReassignmentsResponse](t, t.any(), req)
	t.mustCode("ListPartitionReassignments", resp.ErrorCode, codeNone)
	var moving []kmsg.ListPartitionReassignmentsResponseTopicPartition
	for _, of := range resp.Topics {
		if of.Topic != tp.name {
			t.fatalf("ListPartitionReassignments", "nothing but "+tp.name, "%s", of.Topic)
		}
		moving = append(moving, of.Partitions...)
	}
	return moving
}

// replicas are those that a broker's metadata names.
func (t *T) replicas(node int32, p partition) []int32 {
	for _, one := range t.metadata(node, p.topic.name).Partitions {
		if one.Partition == p.index {
			return one.Replicas
		}
	}
	return nil
}
