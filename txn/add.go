package txn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AddPartitionsRequest is AddPartitionsToTxn, or AddOffsetsToTxn whose participant
// is the __consumer_offsets partition of the group.
type AddPartitionsRequest struct {
	TransactionalID string
	ProducerID      int64
	ProducerEpoch   int16
	Participants    []Participant
	Version         int16 // of either; both know ProducerFenced from v2 on
}

// AddPartitions adds participants to the transaction of a producer, and begins it
// if there is none. It waits, bounded, for markers of the transaction before.
//
// Errors: InvalidRequest, InvalidProducerIDMapping, ProducerFenced
// (InvalidProducerEpoch below v2), ConcurrentTransactions, and those of finding
// the coordinator.
func (c *Coordinator) AddPartitions(ctx context.Context, r AddPartitionsRequest) error {
	return fencedBelow(2, r.Version, c.add(ctx, r, TV0))
}

func (c *Coordinator) add(ctx context.Context, r AddPartitionsRequest, clientVersion int16) error {
	p, err := c.find(r.TransactionalID)
	if err != nil {
		return err
	}
	decide := func(t *Transaction, _ int64, now time.Time) (outcome, error) {
		return decideAdd(t, addRequest{r.ProducerID, r.ProducerEpoch, r.Participants, clientVersion, now})
	}
	return p.nextTransaction(ctx, r.TransactionalID, func(bound context.Context) error {
		_, err := p.update(bound, r.TransactionalID, decide)
		return err
	})
}

// verify is decideVerify on the view; nothing is stored.
func (c *Coordinator) verify(ctx context.Context, r AddPartitionsRequest) (errs []error, err error) {
	p, err := c.find(r.TransactionalID)
	if err != nil {
		return nil, err
	}
	err = p.nextTransaction(ctx, r.TransactionalID, func(bound context.Context) error {
		var refusal error
		err := p.shard.Answer(bound, func(v *view) {
			errs, refusal = decideVerify(v.get(r.TransactionalID), addRequest{
				producerID: r.ProducerID, producerEpoch: r.ProducerEpoch, participants: r.Participants,
			})
		})
		return cmp.Or(err, refusal)
	})
	return errs, err
}

// nextTransaction does what a request of the next transaction asks for. If it
// meets the markers of the one before, it waits for them.
func (p *partition) nextTransaction(ctx context.Context, id string, do func(bound context.Context) error) error {
	bound, cancel := p.bounded(ctx)
	defer cancel()
	for {
		err := do(bound)
		var meets *markersInFlight
		if !errors.As(err, &meets) || p.inFlight(bound, id) != nil {
			return wireError(ctx, bound, err)
		}
	}
}

// An EnsureRequest comes before an append of transactional records: the
// partitions must be in the open transaction of the producer (KIP-890 part 1).
type EnsureRequest struct {
	TransactionalID string
	ProducerID      int64
	ProducerEpoch   int16
	Participants    []Participant
	// API is kmsg.Produce or kmsg.TxnOffsetCommit, and Version that of the
	// request. Produce 12 and TxnOffsetCommit 5 add the partitions, earlier ones
	// find out whether they are in.
	API     kmsg.Key
	Version int16
}

func (r EnsureRequest) adds() bool {
	return r.API == kmsg.Produce && r.Version >= 12 || r.API == kmsg.TxnOffsetCommit && r.Version >= 5
}

// knowsAbortable says that the client knows TransactionAbortable.
func (r EnsureRequest) knowsAbortable() bool {
	return r.API == kmsg.Produce && r.Version >= 11 || r.API == kmsg.TxnOffsetCommit && r.Version >= 4
}

// Ensure makes sure, for each participant, that it is in the open transaction: nil,
// or the error that the append must be answered with.
//
// Take replication's guard of the producer id first, and append under it: the
// transaction may end between the answer and the append (KAFKA-14884, hard-07).
//
// Errors (hard-06): InvalidTxnState or TransactionAbortable by version;
// InvalidProducerEpoch, never ProducerFenced; InvalidProducerIDMapping; for
// Produce, NotEnoughReplicas when the coordinator cannot be asked, and also for
// ConcurrentTransactions below v12; for TxnOffsetCommit CoordinatorLoadInProgress
// when it cannot be asked.
func (c *Coordinator) Ensure(ctx context.Context, r EnsureRequest) []error {
	ask := AddPartitionsRequest{
		TransactionalID: r.TransactionalID, ProducerID: r.ProducerID, ProducerEpoch: r.ProducerEpoch, Participants: r.Participants,
	}
	errs := make([]error, len(r.Participants))
	var err error
	if r.adds() {
		err = c.add(ctx, ask, TV2)
	} else if each, failed := c.verify(ctx, ask); failed != nil {
		err = failed
	} else {
		errs = each
	}
	for i := range errs {
		errs[i] = r.Translate(cmp.Or(err, errs[i]))
	}
	return errs
}

// Translate turns the coordinator's answer into that of the append.
//
// Source: AddPartitionsToTxnManager and ReplicaManager of Kafka 4.3.1.
func (r EnsureRequest) Translate(err error) error {
	produce := r.API == kmsg.Produce
	unreachable := errors.Is(err, kerr.NotCoordinator) || errors.Is(err, kerr.CoordinatorNotAvailable) ||
		errors.Is(err, kerr.CoordinatorLoadInProgress) || errors.Is(err, kerr.NetworkException)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.ProducerFenced):
		return recode(err, kerr.InvalidProducerEpoch)
	case errors.Is(err, kerr.TransactionAbortable) && !r.knowsAbortable():
		return recode(err, kerr.InvalidTxnState)
	case unreachable && produce, errors.Is(err, kerr.ConcurrentTransactions) && produce && !r.adds():
		return recode(err, kerr.NotEnoughReplicas)
	case unreachable:
		return recode(err, kerr.CoordinatorLoadInProgress)
	}
	return err
}

// recode keeps what was seen and changes the code.
func recode(err error, code *kerr.Error) error { return fmt.Errorf("%v: %w", err, code) }
