package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/txn"
)

// AddPartitionsToTxn: v0-3
//
//   - All partitions join the transaction, or none: if one is unknown, the others
//     get OPERATION_NOT_ATTEMPTED.
//   - Waits, bounded, for markers of the transaction before.
//
// Versions: v2 PRODUCER_FENCED (KIP-588); v3 flexible. From v4 on brokers ask
// each other (KIP-890), which is not done over this listener.
func (b *Broker) addPartitionsToTxn(ctx context.Context, req *kmsg.AddPartitionsToTxnRequest, resp *kmsg.AddPartitionsToTxnResponse) error {
	set := b.topics.load()
	var all []txn.Participant
	unknown := false
	for _, t := range req.Topics {
		one, ok := set.byName(t.Topic)
		for _, partition := range t.Partitions {
			if !ok || partition < 0 || int(partition) >= len(one.partitions) {
				unknown = true
				continue
			}
			all = append(all, txn.Participant{Topic: t.Topic, TopicID: one.ID, Partition: partition})
		}
	}
	var err error
	if !unknown {
		err = b.txns.AddPartitions(ctx, txn.AddPartitionsRequest{
			TransactionalID: req.TransactionalID, ProducerID: req.ProducerID, ProducerEpoch: req.ProducerEpoch,
			Participants: all, Version: req.Version,
		})
		b.logUnexpected("partitions not added to the transaction", err, "transactional_id", req.TransactionalID)
	}
	for _, t := range req.Topics {
		answer := kmsg.NewAddPartitionsToTxnResponseTopic()
		answer.Topic = t.Topic
		one, ok := set.byName(t.Topic)
		for _, partition := range t.Partitions {
			p := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			p.Partition = partition
			switch {
			case !ok || partition < 0 || int(partition) >= len(one.partitions):
				p.ErrorCode = kerr.UnknownTopicOrPartition.Code
			case unknown:
				p.ErrorCode = kerr.OperationNotAttempted.Code
			default:
				p.ErrorCode = protocol.Code(err)
			}
			answer.Partitions = append(answer.Partitions, p)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return nil
}
