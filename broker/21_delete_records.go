package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
)

// DeleteRecords: v0-2
//
//   - Moves the log start offset up to the asked offset; -1 is the high watermark.
//   - Answers once a majority holds the new start, which is never taken back.
//   - A topic that is only compacted refuses with POLICY_VIOLATION.
//
// Versions: v2 flexible. Source: KIP-107, ReplicaManager.deleteRecordsOnLocalLog.
func (b *Broker) deleteRecords(ctx context.Context, req *kmsg.DeleteRecordsRequest, resp *kmsg.DeleteRecordsResponse) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.TimeoutMillis)*time.Millisecond)
	defer cancel()
	for _, t := range req.Topics {
		topic := kmsg.NewDeleteRecordsResponseTopic()
		topic.Topic = t.Topic
		for _, asked := range t.Partitions {
			answer := kmsg.NewDeleteRecordsResponseTopicPartition()
			answer.Partition = asked.Partition
			low, err := b.deleteBefore(ctx, t.Topic, asked.Partition, asked.Offset)
			answer.LowWatermark, answer.ErrorCode = low, protocol.Code(err)
			topic.Partitions = append(topic.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return nil
}

// deleteBefore moves one log start; the low watermark is -1 on any error.
func (b *Broker) deleteBefore(ctx context.Context, topic string, partition int32, offset int64) (int64, error) {
	p, err := b.partitionByName(topic, partition)
	if err != nil {
		return -1, err
	}
	if err := b.leading(p, -1); err != nil {
		return -1, err
	}
	switch t, _ := b.image().Topic(topic); {
	case t != nil && t.Internal:
		return -1, refuse(kerr.InvalidTopicException, "Cannot delete records of internal topic %s", topic)
	case !p.Log().Config().CleanupDelete:
		return -1, refuse(kerr.PolicyViolation, "Records of partition %s-%d can not be deleted due to the configured policy", topic, partition)
	}
	low, err := p.DeleteRecords(ctx, offset)
	if err != nil {
		return -1, err
	}
	return low, nil
}
