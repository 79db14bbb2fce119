package broker

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
)

// AlterPartitionReassignments: v0-1
//
//   - Answers when the wish is written; the controller goes on with it (KIP-455).
//   - Null replicas cancel. That is answered when the replicas there were before
//     have the partition again, or when the timeout ends: in Kafka, which has no
//     voters to change, it takes no time.
//   - Each partition is decided for itself.
//
// Versions: v1 may refuse another replication factor (KIP-860). Source:
// ReplicationControlManager.alterPartitionReassignments.
func (b *Broker) alterPartitionReassignments(ctx context.Context, req *kmsg.AlterPartitionAssignmentsRequest, resp *kmsg.AlterPartitionAssignmentsResponse) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.TimeoutMillis)*time.Millisecond)
	defer cancel()
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	var moves, cancelled []cluster.Move
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			m := cluster.Move{Topic: t.Topic, Partition: p.Partition, Replicas: p.Replicas}
			if moves = append(moves, m); m.Replicas == nil {
				cancelled = append(cancelled, m)
			}
		}
	}
	each, err := b.metadata.Reassign(ctx, moves, req.Version >= 1 && !req.AllowReplicationFactorChange)
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = protocol.Code(err), protocol.Message(err)
		b.logUnexpected("reassignment failed", err)
		return nil
	}
	for _, t := range req.Topics {
		answer := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		answer.Topic = t.Topic
		for _, p := range t.Partitions {
			one := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			one.Partition, one.ErrorCode, one.ErrorMessage = p.Partition, protocol.Code(each[0]), protocol.Message(each[0])
			answer.Partitions, each = append(answer.Partitions, one), each[1:]
		}
		resp.Topics = append(resp.Topics, answer)
	}
	b.awaitStill(ctx, cancelled)
	if err := b.topics.settle(ctx); err != nil {
		b.logger.Debug("what was asked for is not served yet", "error", err)
	}
	return nil
}

// awaitStill waits, as long as ctx lasts, until no partition of these is moving.
func (b *Broker) awaitStill(ctx context.Context, partitions []cluster.Move) {
	for {
		changed := b.metadata.Changed()
		image := b.image()
		if !slices.ContainsFunc(partitions, func(m cluster.Move) bool {
			t, ok := image.Topic(m.Topic)
			return ok && m.Partition >= 0 && int(m.Partition) < len(t.Partitions) && t.Partitions[m.Partition].Moving()
		}) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
