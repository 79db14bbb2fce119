package broker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
)

// OffsetForLeaderEpoch: v2-4
//
//   - Answers the largest epoch at or below the asked one and where it ends;
//     (-1, -1) if there is none.
//   - The current epoch ends at the log end.
//
// Versions: v2 current leader epoch (KIP-320); v3 replica id; v4 flexible.
func (b *Broker) offsetForLeaderEpoch(_ context.Context, req *kmsg.OffsetForLeaderEpochRequest, resp *kmsg.OffsetForLeaderEpochResponse) error {
	for _, t := range req.Topics {
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		topic.Topic = t.Topic
		for _, asked := range t.Partitions {
			answer := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			answer.Partition, answer.LeaderEpoch, answer.EndOffset = asked.Partition, -1, -1
			p, err := b.partitionByName(t.Topic, asked.Partition)
			if err == nil {
				err = b.leading(p, asked.CurrentLeaderEpoch)
			}
			if err == nil && p.Fenced() {
				err = fmt.Errorf("a leader that hears no majority may know too few epochs: %w", kerr.NotLeaderForPartition)
			}
			if err == nil {
				answer.LeaderEpoch, answer.EndOffset = p.Log().EpochEnd(asked.LeaderEpoch)
			}
			answer.ErrorCode = protocol.Code(err)
			topic.Partitions = append(topic.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return nil
}
