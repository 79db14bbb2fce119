package txn

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/planted"
)

// errNeedProducerID says that the decision needs a producer id that nobody has
// had: decide again with one.
var errNeedProducerID = errors.New("a new producer id is needed")

// An outcome is what a decision comes to. It is told to the client once next is
// committed, or at once if next is nil.
type outcome struct {
	next          *Transaction // the state to store; nil: nothing changes
	producerID    int64
	producerEpoch int16
	err           error // told although next was stored: the client asks again
}

// move is t in another state, with the fields that every move sets.
//
// Source: TransactionMetadata.prepareTransitionTo of Kafka 4.3.1.
func (t *Transaction) move(to State, now time.Time) (*Transaction, error) {
	if !mayFollow(to, t.State) {
		return nil, fmt.Errorf("illegal move from %v to %v: %w", t.State, to, kerr.UnknownServerError)
	}
	n := *t
	n.State, n.PrevProducerID, n.LastUpdate = to, t.ProducerID, now.UnixMilli()
	return &n, nil
}

// An initRequest is InitProducerId for a transactional id.
type initRequest struct {
	timeout time.Duration
	// expectedID and expectedEpoch are what the client holds (KIP-360), or
	// NoProducerID and NoProducerEpoch.
	expectedID    int64
	expectedEpoch int16
	// newID is a producer id that nobody had, NoProducerID if there is none yet.
	newID         int64
	serverVersion int16 // the finalized transaction.version
	now           time.Time
}

func (r initRequest) expects() bool { return r.expectedID != NoProducerID }

// decideInit decides InitProducerId. t is nil for an unknown transactional id.
// An open transaction is fenced and aborted first, and the client told to ask
// again; but not for a client that names an epoch other than the present one: it
// is a zombie, and may change nothing (stricter than Kafka 4.3.1, which aborts).
//
// Errors: ConcurrentTransactions, ProducerFenced, errNeedProducerID.
// Source: KIP-98, KIP-360; prepareInitProducerIdTransit of Kafka 4.3.1.
func decideInit(t *Transaction, r initRequest) (outcome, error) {
	if t == nil {
		if r.newID == NoProducerID {
			return outcome{}, errNeedProducerID
		}
		t = &Transaction{
			State: Empty, ProducerID: r.newID, ProducerEpoch: NoProducerEpoch, LastProducerEpoch: NoProducerEpoch,
			PrevProducerID: NoProducerID, NextProducerID: NoProducerID, StartTime: noTime,
		}
	}
	if t.State.prepared() {
		return outcome{}, errMarkersInFlight(t) // before any look at the id, which may be about to rotate
	}
	if err := checkExpected(t, r); err != nil {
		return outcome{}, err
	}
	switch {
	case t.State == Ongoing && r.expects() && r.expectedEpoch != t.ProducerEpoch:
		return outcome{}, errFenced(t, r.expectedEpoch)
	case t.State == Ongoing:
		fenced, err := decideFence(t, fenceRequest{newID: r.newID, serverVersion: r.serverVersion, now: r.now})
		if err != nil {
			return outcome{}, err
		}
		fenced.err = fmt.Errorf("the open transaction is being aborted: %w", kerr.ConcurrentTransactions)
		return fenced, nil
	default:
		return reinitialise(t, r)
	}
}

// checkExpected fences a client that holds another producer id than the present
// one, unless it repeats the request that rotated the id.
func checkExpected(t *Transaction, r initRequest) error {
	switch {
	case !r.expects(), t.ProducerEpoch == NoProducerEpoch, r.expectedID == t.ProducerID:
		return nil
	case r.expectedID == t.PrevProducerID && r.expectedEpoch >= LastEpoch:
		return nil
	}
	return fmt.Errorf("producer id %d, the transactional id has %d: %w", r.expectedID, t.ProducerID, kerr.ProducerFenced)
}

// reinitialise gives the next epoch, or the first of a new producer id after the
// last epoch.
func reinitialise(t *Transaction, r initRequest) (outcome, error) {
	n, err := t.move(Empty, r.now)
	if err != nil {
		return outcome{}, err
	}
	switch {
	case t.exhausted() && (!r.expects() || r.expectedEpoch == t.ProducerEpoch):
		if r.newID == NoProducerID {
			return outcome{}, errNeedProducerID
		}
		n.ProducerID, n.ProducerEpoch, n.LastProducerEpoch = r.newID, 0, NoProducerEpoch
		if r.expects() {
			n.LastProducerEpoch = t.ProducerEpoch
		}
	case t.ProducerEpoch == NoProducerEpoch:
		n.ProducerEpoch, n.LastProducerEpoch = 0, NoProducerEpoch
	case !r.expects():
		n.ProducerEpoch, n.LastProducerEpoch = t.ProducerEpoch+1, NoProducerEpoch
	case r.expectedEpoch == t.ProducerEpoch && !t.exhausted():
		n.ProducerEpoch, n.LastProducerEpoch = t.ProducerEpoch+1, t.ProducerEpoch
	case r.expectedEpoch == t.LastProducerEpoch:
		// The answer to the same request was lost. The producer id before stays
		// known, so that this may be repeated again.
		n.PrevProducerID = t.PrevProducerID
	default:
		return outcome{}, errFenced(t, r.expectedEpoch)
	}
	n.Timeout, n.Participants, n.StartTime = r.timeout, nil, noTime
	return outcome{next: n, producerID: n.ProducerID, producerEpoch: n.ProducerEpoch}, nil
}

// An addRequest adds participants to the transaction of a producer.
type addRequest struct {
	producerID    int64
	producerEpoch int16
	participants  []Participant
	clientVersion int16
	now           time.Time
}

// decideAdd decides AddPartitionsToTxn, AddOffsetsToTxn and the implicit adds of
// KIP-890.
//
// Errors: InvalidProducerIDMapping, ProducerFenced, ConcurrentTransactions.
// Source: KIP-98; handleAddPartitionsToTransaction of Kafka 4.3.1.
func decideAdd(t *Transaction, r addRequest) (outcome, error) {
	if t != nil && t.State.prepared() {
		// Before any look at the id: the next transaction may have the one that
		// takes over when this one completes (KAFKA-18660).
		return outcome{}, errMarkersInFlight(t)
	}
	if err := checkProducer(t, r.producerID, r.producerEpoch); err != nil {
		return outcome{}, err
	}
	if t.State == Ongoing && t.has(r.participants) {
		return outcome{}, nil
	}
	n, err := t.move(Ongoing, r.now)
	if err != nil {
		return outcome{}, err
	}
	n.Participants, n.ClientVersion = t.union(r.participants), r.clientVersion
	if t.State != Ongoing {
		n.StartTime = n.LastUpdate
	}
	return outcome{next: n}, nil
}

// decideVerify says, for each participant, whether it is in the open transaction
// of the producer: nil or TransactionAbortable. Nothing changes.
//
// Errors, for all of them: as decideAdd. Source: KIP-890 part 1;
// handleVerifyPartitionsInTransaction of Kafka 4.3.1.
func decideVerify(t *Transaction, r addRequest) ([]error, error) {
	if err := checkProducer(t, r.producerID, r.producerEpoch); err != nil {
		return nil, err
	}
	if t.State.prepared() {
		return nil, errMarkersInFlight(t)
	}
	errs := make([]error, len(r.participants))
	for i, p := range r.participants {
		if (t.State != Ongoing || !t.hasOne(p)) && !planted.Is(planted.VerifySkipped) {
			errs[i] = fmt.Errorf("%v is not in the transaction (%v): %w", p, t.State, kerr.TransactionAbortable)
		}
	}
	return errs, nil
}

// checkProducer compares the holder of the transactional id with a request.
func checkProducer(t *Transaction, producerID int64, epoch int16) error {
	if err := checkMapping(t, producerID); err != nil {
		return err
	}
	if t.ProducerEpoch != epoch && !planted.Is(planted.ZombieAccepted) {
		return errFenced(t, epoch)
	}
	return nil
}

func checkMapping(t *Transaction, producerID int64) error {
	switch {
	case t == nil:
		return fmt.Errorf("unknown transactional id: %w", kerr.InvalidProducerIDMapping)
	case t.ProducerID != producerID && !planted.Is(planted.MappingUnchecked):
		return fmt.Errorf("producer id %d, the transactional id has %d: %w", producerID, t.ProducerID, kerr.InvalidProducerIDMapping)
	}
	return nil
}

func errFenced(t *Transaction, epoch int16) error {
	return fmt.Errorf("producer epoch %d, the transactional id has %d: %w", epoch, t.ProducerEpoch, kerr.ProducerFenced)
}

// markersInFlight marks the refusals that end by themselves, when the markers of
// the transaction before are written.
type markersInFlight struct{ state State }

func (e *markersInFlight) Error() string {
	return fmt.Sprintf("markers of the transaction before are in flight (%v): %v", e.state, kerr.ConcurrentTransactions)
}

func (e *markersInFlight) Unwrap() error { return kerr.ConcurrentTransactions }

func errMarkersInFlight(t *Transaction) error { return &markersInFlight{t.State} }

// A fenceRequest ends an open transaction against the will of its producer.
type fenceRequest struct {
	newID         int64 // as in initRequest
	serverVersion int16
	now           time.Time
}

// decideFence aborts an open transaction and bumps the epoch, once, so that its
// producer can do no more in it: at timeout, or when another producer starts.
// The state PrepareEpochFence between is never stored: the bump exists when the
// abort is committed, and a failed append leaves nothing that would bump again
// (KAFKA-9666, KAFKA-19367).
//
// Errors: errNeedProducerID at the last epoch, so that the id rotates when the
// abort completes (KAFKA-20090). Source: KIP-98, KIP-588, KIP-890.
func decideFence(t *Transaction, r fenceRequest) (outcome, error) {
	fence, err := t.move(PrepareEpochFence, r.now)
	if err != nil {
		return outcome{}, err
	}
	if r.serverVersion >= TV2 {
		to := PrepareAbort
		if planted.Is(planted.FenceCommits) {
			to = PrepareCommit
		}
		return prepareBumped(t, to, r.newID, r.now)
	}
	n, err := fence.move(PrepareAbort, r.now)
	if err != nil {
		return outcome{}, err
	}
	if t.ProducerEpoch < math.MaxInt16 {
		n.ProducerEpoch++
	}
	n.LastProducerEpoch, n.NextProducerID, n.ClientVersion = NoProducerEpoch, NoProducerID, TV0
	return outcome{next: n, producerID: n.ProducerID, producerEpoch: n.ProducerEpoch}, nil
}

// decideComplete ends a prepared transaction whose markers are all committed. At
// the last epoch of KIP-890 the new producer id takes over.
func decideComplete(t *Transaction, now time.Time) (outcome, error) {
	to := CompleteAbort
	if t.State == PrepareCommit {
		to = CompleteCommit
	}
	n, err := t.move(to, now)
	if err != nil {
		return outcome{}, err
	}
	if t.ClientVersion >= TV2 && t.NextProducerID != NoProducerID {
		n.ProducerID, n.ProducerEpoch = t.NextProducerID, 0
	}
	n.NextProducerID, n.Participants = NoProducerID, nil
	return outcome{next: n}, nil
}

// expired says whether a transactional id unused for so long may be forgotten
// (transactional.id.expiration.ms): Dead, stored as a tombstone.
func (t *Transaction) expired(idle, expiration time.Duration) bool {
	return mayFollow(Dead, t.State) && idle >= expiration
}
