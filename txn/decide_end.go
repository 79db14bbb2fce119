package txn

import (
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/planted"
)

// An endRequest is EndTxn.
type endRequest struct {
	producerID    int64
	producerEpoch int16
	commit        bool
	newID         int64 // as in initRequest
	clientVersion int16
	now           time.Time
}

// goal and done are the states of the end asked for.
func (r endRequest) goal() (prepare, complete State) {
	if r.commit {
		return PrepareCommit, CompleteCommit
	}
	return PrepareAbort, CompleteAbort
}

// decideEnd decides EndTxn, by the protocol of the request's version.
//
// Errors: InvalidProducerIDMapping, ProducerFenced, InvalidTxnState,
// ConcurrentTransactions while the same end is under way, errNeedProducerID.
// Source: KIP-98, KIP-890; endTransaction of Kafka 4.3.1.
func decideEnd(t *Transaction, r endRequest) (outcome, error) {
	if t == nil {
		return outcome{}, checkMapping(nil, r.producerID)
	}
	if r.clientVersion >= TV2 {
		return decideEndV2(t, r)
	}
	return decideEndV1(t, r)
}

// decideEndV1: the epoch stays. A repeated end is answered like the first.
func decideEndV1(t *Transaction, r endRequest) (outcome, error) {
	if err := checkProducer(t, r.producerID, r.producerEpoch); err != nil {
		return outcome{}, err
	}
	prepare, complete := r.goal()
	switch t.State {
	case Ongoing:
		n, err := t.move(prepare, r.now)
		if err != nil {
			return outcome{}, err
		}
		n.NextProducerID, n.ClientVersion = NoProducerID, TV0
		return endedV1(n), nil
	case complete:
		return outcome{producerID: NoProducerID, producerEpoch: NoProducerEpoch}, nil
	case prepare:
		return outcome{}, errMarkersInFlight(t)
	}
	return outcome{}, errWrongState(t, prepare)
}

// endedV1: EndTxn below v5 gives no id and epoch to the client.
func endedV1(n *Transaction) outcome {
	return outcome{next: n, producerID: NoProducerID, producerEpoch: NoProducerEpoch}
}

// decideEndV2: every end bumps the epoch, so an epoch names one transaction. A
// request with the epoch before the present one repeats the last end; one with
// the present epoch ends the next transaction, which may be empty: then only an
// abort makes sense, and it bumps (KAFKA-18464).
func decideEndV2(t *Transaction, r endRequest) (outcome, error) {
	if t.State.prepared() {
		// A repeat, or already the next transaction, or a zombie: all of them are
		// judged when the markers are written, as in Kafka (D13).
		return outcome{}, errMarkersInFlight(t)
	}
	prepare, complete := r.goal()
	repeat := t.repeats(r.producerID, r.producerEpoch)
	if !repeat {
		if err := checkProducer(t, r.producerID, r.producerEpoch); err != nil {
			return outcome{}, err
		}
	}
	switch {
	case t.State == Ongoing:
		return prepareBumped(t, prepare, r.newID, r.now)
	case t.State == complete && repeat && !planted.Is(planted.EndForgotten):
		return outcome{producerID: t.ProducerID, producerEpoch: t.ProducerEpoch}, nil
	case !repeat && (!r.commit || planted.Is(planted.EmptyCommit)):
		return prepareBumped(t, PrepareAbort, r.newID, r.now)
	}
	return outcome{}, errWrongState(t, prepare)
}

// repeats says whether EndTxn of KIP-890 carries what the transaction that has
// just ended was stamped with.
func (t *Transaction) repeats(producerID int64, epoch int16) bool {
	if t.State != CompleteCommit && t.State != CompleteAbort {
		return false
	}
	bumped := t.ProducerID == producerID && int(t.ProducerEpoch) == int(epoch)+1
	rotated := t.PrevProducerID == producerID && epoch == LastEpoch && t.ProducerEpoch == 0
	return bumped || rotated
}

func errWrongState(t *Transaction, wanted State) error {
	return fmt.Errorf("%v cannot follow %v: %w", wanted, t.State, kerr.InvalidTxnState)
}

// prepareBumped moves to a Prepare* state of KIP-890: it carries the next epoch,
// and so do its markers. At the last epoch a new producer id is set aside, which
// takes over when the transaction completes (KAFKA-18660); the client is told
// that id at once.
func prepareBumped(t *Transaction, to State, newID int64, now time.Time) (outcome, error) {
	n, err := t.move(to, now)
	if err != nil {
		return outcome{}, err
	}
	if t.ProducerEpoch == math.MaxInt16 && to == PrepareCommit {
		return outcome{}, fmt.Errorf("the epoch after %d does not exist: %w", t.ProducerEpoch, kerr.ProducerFenced)
	}
	if t.exhausted() && newID == NoProducerID {
		return outcome{}, errNeedProducerID
	}
	if t.ProducerEpoch < math.MaxInt16 {
		n.ProducerEpoch++ // at the largest there is nothing left but to end (KAFKA-20090)
	}
	n.LastProducerEpoch, n.NextProducerID, n.ClientVersion = t.ProducerEpoch, NoProducerID, TV2
	if t.State != Ongoing {
		n.StartTime = n.LastUpdate
	}
	if t.exhausted() {
		n.NextProducerID = newID
		return outcome{next: n, producerID: newID, producerEpoch: 0}, nil
	}
	if planted.Is(planted.EpochUntold) {
		return outcome{next: n, producerID: n.ProducerID, producerEpoch: t.ProducerEpoch}, nil
	}
	return outcome{next: n, producerID: n.ProducerID, producerEpoch: n.ProducerEpoch}, nil
}
