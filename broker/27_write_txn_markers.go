package broker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol"
)

// WriteTxnMarkers: v1-2
//
//   - It is for a transaction that its coordinator has forgotten and that hangs
//     on a partition (KIP-664): an abort is written by the partition's leader.
//   - Coordinators write theirs through the connections of the nodes. What
//     commits is refused here: nobody but they knows that a transaction is whole.
//   - Partitions are answered each for itself, once the marker is committed.
//
// Versions: v1 flexible; v2 transaction version (KIP-1228), which an abort does not depend on.
func (b *Broker) writeTxnMarkers(ctx context.Context, req *kmsg.WriteTxnMarkersRequest, resp *kmsg.WriteTxnMarkersResponse) error {
	for _, m := range req.Markers {
		one := kmsg.NewWriteTxnMarkersResponseMarker()
		one.ProducerID = m.ProducerID
		for _, t := range m.Topics {
			topic := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			topic.Topic = t.Topic
			for _, id := range t.Partitions {
				err := b.abortHanging(ctx, t.Topic, id, &m)
				b.logUnexpected("marker was not written", err, "topic", t.Topic, "partition", id, "producer_id", m.ProducerID)
				answer := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				answer.Partition, answer.ErrorCode = id, protocol.Code(err)
				topic.Partitions = append(topic.Partitions, answer)
			}
			one.Topics = append(one.Topics, topic)
		}
		resp.Markers = append(resp.Markers, one)
	}
	return nil
}

// abortHanging ends the transaction of a producer on one partition.
//
// Errors: CLUSTER_AUTHORIZATION_FAILED, those of Partition.AppendMarker.
func (b *Broker) abortHanging(ctx context.Context, topic string, partition int32, m *kmsg.WriteTxnMarkersRequestMarker) error {
	if m.Committed {
		return fmt.Errorf("a client may abort, not commit: %w", kerr.ClusterAuthorizationFailed)
	}
	p, err := b.partitionByName(topic, partition)
	if err == nil {
		err = b.leading(p, -1)
	}
	if err != nil {
		return err
	}
	b.logger.Warn("a client aborts a transaction that hangs", "topic", topic, "partition", partition, "producer_id", m.ProducerID, "producer_epoch", m.ProducerEpoch)
	return p.AppendMarker(ctx, log.Marker{ProducerID: m.ProducerID, Epoch: m.ProducerEpoch, CoordinatorEpoch: m.CoordinatorEpoch})
}
