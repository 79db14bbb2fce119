package txn

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A State is what a transactional id is in. The numbers are those of Kafka's
// stored form (class TransactionState).
type State int8

// The states of a transactional id.
const (
	Empty             State = 0 // no transaction since the producer was initialised
	Ongoing           State = 1 // has participants, not ended
	PrepareCommit     State = 2 // will be committed; markers are being written
	PrepareAbort      State = 3 // will be aborted; markers are being written
	CompleteCommit    State = 4 // committed, every marker is committed
	CompleteAbort     State = 5 // aborted, every marker is committed
	Dead              State = 6 // expired; stored as a tombstone
	PrepareEpochFence State = 7 // in memory only: an abort with a newer epoch follows
)

var stateNames = [...]string{
	Empty:             "Empty",
	Ongoing:           "Ongoing",
	PrepareCommit:     "PrepareCommit",
	PrepareAbort:      "PrepareAbort",
	CompleteCommit:    "CompleteCommit",
	CompleteAbort:     "CompleteAbort",
	Dead:              "Dead",
	PrepareEpochFence: "PrepareEpochFence",
}

// String is Kafka's name of the state, as ListTransactions shows it.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int8(s))
	}
	return stateNames[s]
}

// ParseState finds a state by Kafka's name for it.
func ParseState(name string) (State, bool) {
	i := slices.Index(stateNames[:], name)
	return State(i), i >= 0
}

// from lists, for each state, the states it may be entered from (class
// TransactionState of Kafka 4.3.1). PrepareAbort follows Empty and Complete* when
// an empty transaction of KIP-890 is aborted.
var from = [...][]State{
	Empty:             {Empty, CompleteCommit, CompleteAbort},
	Ongoing:           {Ongoing, Empty, CompleteCommit, CompleteAbort},
	PrepareCommit:     {Ongoing},
	PrepareAbort:      {Ongoing, PrepareEpochFence, Empty, CompleteCommit, CompleteAbort},
	CompleteCommit:    {PrepareCommit},
	CompleteAbort:     {PrepareAbort},
	Dead:              {Empty, CompleteCommit, CompleteAbort},
	PrepareEpochFence: {Ongoing},
}

// mayFollow says whether a transactional id may go from one state to another.
func mayFollow(to, before State) bool { return slices.Contains(from[to], before) }

// prepared says that the end is decided and markers are on their way.
func (s State) prepared() bool { return s == PrepareCommit || s == PrepareAbort }

// settled says that no transaction is open or ending.
func (s State) settled() bool { return s == Empty || s == CompleteCommit || s == CompleteAbort }

const (
	// NoProducerID and NoProducerEpoch say "none", in records and on the wire.
	NoProducerID    = int64(-1)
	NoProducerEpoch = int16(-1)
	// LastEpoch is the largest epoch a client may hold. The one above it exists
	// only to fence, so a producer can always be fenced.
	LastEpoch = int16(math.MaxInt16 - 1)

	noTime = int64(-1)
)

// The levels of the finalized feature transaction.version. A client's level
// follows from the versions of its requests.
const (
	TV0 int16 = 0 // KIP-98
	TV1 int16 = 1 // the same protocol, stored form v1
	TV2 int16 = 2 // KIP-890 part 2: each transaction has its own epoch
)

// A Participant is a partition that holds records of a transaction. Two
// partitions of the same name and different topic ids are different.
type Participant struct {
	TopicID   [16]byte // zero: not known (a record that Kafka wrote)
	Topic     string
	Partition int32
}

// String is topic-partition.
func (p Participant) String() string { return fmt.Sprintf("%s-%d", p.Topic, p.Partition) }

func compareParticipants(a, b Participant) int {
	return cmp.Or(
		strings.Compare(a.Topic, b.Topic),
		slices.Compare(a.TopicID[:], b.TopicID[:]),
		cmp.Compare(a.Partition, b.Partition),
	)
}

// A Transaction is the state of one transactional id: the fields of Kafka's
// TransactionMetadata. It is a value; its participants are sorted and are never
// changed in place.
type Transaction struct {
	State         State
	ProducerID    int64
	ProducerEpoch int16
	// LastProducerEpoch is the epoch before the present one if the same producer
	// asked for the bump (KIP-360), NoProducerEpoch if another producer did.
	LastProducerEpoch int16
	// PrevProducerID is the producer id before the last move.
	PrevProducerID int64
	// NextProducerID replaces ProducerID when a Prepare* completes whose epoch
	// was the last (KIP-890), NoProducerID otherwise.
	NextProducerID int64
	Timeout        time.Duration // whole ms (transaction.timeout.ms)
	Participants   []Participant
	StartTime      int64 // ms since 1970, -1 before the first transaction
	LastUpdate     int64 // ms since 1970
	// ClientVersion is the transaction.version of whoever made the last move.
	ClientVersion int16
}

// has says whether every one of ps is in the transaction.
func (t *Transaction) has(ps []Participant) bool {
	for _, p := range ps {
		if !t.hasOne(p) {
			return false
		}
	}
	return true
}

func (t *Transaction) hasOne(p Participant) bool {
	_, ok := slices.BinarySearchFunc(t.Participants, p, compareParticipants)
	return ok
}

// union is the sorted set of the participants of t and ps.
func (t *Transaction) union(ps []Participant) []Participant {
	all := slices.Concat(t.Participants, ps)
	slices.SortFunc(all, compareParticipants)
	return slices.Compact(all)
}

// exhausted says that the epoch cannot be given to a client again after a bump.
func (t *Transaction) exhausted() bool { return t.ProducerEpoch >= LastEpoch }

// timeoutMs is the timeout as stored, in ms.
func (t *Transaction) timeoutMs() int32 { return int32(t.Timeout / time.Millisecond) }
