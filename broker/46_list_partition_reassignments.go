package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/replication/cluster"
)

// ListPartitionReassignments: v0
//
//   - Null topics are all; only what is being reassigned is named, and of what does
//     not exist nothing is said.
//
// Source: KIP-455, ReplicationControlManager.listPartitionReassignments.
func (b *Broker) listPartitionReassignments(_ context.Context, req *kmsg.ListPartitionReassignmentsRequest, resp *kmsg.ListPartitionReassignmentsResponse) error {
	image := b.image()
	resp.Topics = []kmsg.ListPartitionReassignmentsResponseTopic{}
	if req.Topics == nil {
		for _, t := range image.Topics() {
			addMoving(resp, t, nil)
		}
		return nil
	}
	for _, asked := range req.Topics {
		if t, ok := image.Topic(asked.Topic); ok {
			addMoving(resp, t, append([]int32{}, asked.Partitions...))
		}
	}
	return nil
}

// addMoving names those partitions of a topic that are being reassigned; nil: all
// of them.
func addMoving(resp *kmsg.ListPartitionReassignmentsResponse, t *cluster.Topic, partitions []int32) {
	if partitions == nil {
		for i := range t.Partitions {
			partitions = append(partitions, int32(i))
		}
	}
	answer := kmsg.NewListPartitionReassignmentsResponseTopic()
	answer.Topic = t.Name
	for _, i := range partitions {
		if i < 0 || int(i) >= len(t.Partitions) || !t.Partitions[i].Moving() {
			continue
		}
		p := &t.Partitions[i]
		one := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		one.Partition, one.Replicas, one.AddingReplicas, one.RemovingReplicas = i, p.Replicas, p.Adding, p.Removing
		answer.Partitions = append(answer.Partitions, one)
	}
	if len(answer.Partitions) > 0 {
		resp.Topics = append(resp.Topics, answer)
	}
}
