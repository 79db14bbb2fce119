package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/txn"
)

// AddOffsetsToTxn: v0-4
//
//   - The partition of __consumer_offsets that holds the group joins the
//     transaction, like any other partition.
//
// Versions: v2 PRODUCER_FENCED (KIP-588); v3 flexible; v4 TRANSACTION_ABORTABLE (KIP-890).
func (b *Broker) addOffsetsToTxn(ctx context.Context, req *kmsg.AddOffsetsToTxnRequest, _ *kmsg.AddOffsetsToTxnResponse) error {
	if err := b.ensureInternal(ctx, offsetsTopic); err != nil {
		return err
	}
	return b.txns.AddPartitions(ctx, txn.AddPartitionsRequest{
		TransactionalID: req.TransactionalID, ProducerID: req.ProducerID, ProducerEpoch: req.ProducerEpoch,
		Participants: []txn.Participant{b.offsetsParticipant(b.groups.Partition(req.Group))}, Version: req.Version,
	})
}

// offsetsParticipant is a partition of __consumer_offsets as part of a
// transaction.
func (b *Broker) offsetsParticipant(partition int32) txn.Participant {
	p := txn.Participant{Topic: offsetsTopic, Partition: partition}
	if t, ok := b.image().Topic(offsetsTopic); ok {
		p.TopicID = t.ID
	}
	return p
}
