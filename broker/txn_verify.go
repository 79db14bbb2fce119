package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/shard"
	"github.com/oncelog/oncelog/txn"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A txnBatch is a transactional batch that is about to be appended.
type txnBatch struct {
	transactionalID string
	producerID      int64
	producerEpoch   int16
	firstSequence   int32
	topic           *topic
	partition       int32
	version         int16 // of Produce

	guard *replication.Guard // set by verifyTxns; nil when none is needed
}

// verifyTxns makes sure that the partitions of the batches are in the open
// transaction of their producer, and returns an error for each (KIP-890). A
// transaction that is open in a partition's log already needs no question. The
// guard is made before the coordinator is asked (hard-07).
//
// Errors: those of txn.Coordinator.Ensure, fit for the version;
// INVALID_PRODUCER_ID_MAPPING for all when they are of more than one producer.
func (b *Broker) verifyTxns(ctx context.Context, batches []txnBatch) []error {
	errs := make([]error, len(batches))
	for i := range batches {
		if batches[i].producerID != batches[0].producerID || batches[i].producerEpoch != batches[0].producerEpoch {
			err := refuse(kerr.InvalidProducerIDMapping, "Transactional records contained more than one producer ID")
			return slices.Repeat([]error{err}, len(batches))
		}
	}
	if !b.settings().txnVerification && batches[0].version < 12 {
		for i := range batches {
			batches[i].protect(ctx)
		}
		return errs
	}
	var ask []int
	request := txn.EnsureRequest{API: kmsg.Produce}
	for i := range batches {
		one := &batches[i]
		_, epoch, open := one.log().Log().OpenTransaction(one.producerID)
		if open && epoch == one.producerEpoch {
			continue
		}
		if open && epoch > one.producerEpoch { // no guard for what is over: it would stand in the newer one's way
			errs[i] = fmt.Errorf("producer %d: epoch %d, want %d: %w", one.producerID, one.producerEpoch, epoch, kerr.InvalidProducerEpoch)
			continue
		}
		one.protect(ctx)
		request.TransactionalID, request.Version = one.transactionalID, one.version
		request.ProducerID, request.ProducerEpoch = one.producerID, one.producerEpoch
		request.Participants = append(request.Participants, txn.Participant{TopicID: one.topic.ID, Topic: one.topic.Name, Partition: one.partition})
		ask = append(ask, i)
	}
	if len(ask) == 0 {
		return errs
	}
	for i, err := range b.ensure(ctx, request) {
		errs[ask[i]] = err
		if one := &batches[ask[i]]; err != nil {
			one.log().Withdraw(one.producerID, one.guard, one.producerEpoch, one.firstSequence)
		}
	}
	return errs
}

func (t *txnBatch) log() *replication.Partition { return t.topic.partitions[t.partition] }

// protect takes the guard. Only a leader gives one, so after a start it waits,
// bounded, for the partition to have a leader (hard-31).
func (t *txnBatch) protect(ctx context.Context) {
	p := t.log()
	park(ctx, p, parkTime)
	t.guard = p.GuardFrom(t.producerID, t.producerEpoch, t.firstSequence)
}

// verifyOffsets makes sure that a partition of __consumer_offsets is in the open
// transaction of a TxnOffsetCommit. While the coordinator waits for the markers
// of the transaction before, the one for this partition destroys the guard: then
// it is asked again under a new one (hard-07).
func (b *Broker) verifyOffsets(ctx context.Context, req *kmsg.TxnOffsetCommitRequest, partition int32, guard func(int64) shard.Guard) (shard.Guard, error) {
	held := guard(req.ProducerID)
	for attempt := 0; ; attempt++ {
		errs := b.ensure(ctx, txn.EnsureRequest{
			TransactionalID: req.TransactionalID, ProducerID: req.ProducerID, ProducerEpoch: req.ProducerEpoch,
			Participants: []txn.Participant{b.offsetsParticipant(partition)}, API: kmsg.TxnOffsetCommit, Version: req.Version,
		})
		standing := guard(req.ProducerID)
		if errs[0] != nil || standing == held || attempt == reverify {
			return held, errs[0]
		}
		held = standing
	}
}
