package txn

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

var (
	start   = time.UnixMilli(1_700_000_000_000)
	orders0 = Participant{Topic: "orders", TopicID: [16]byte{1}, Partition: 0}
	orders1 = Participant{Topic: "orders", TopicID: [16]byte{1}, Partition: 1}
)

// inState is a transactional id that another test step has brought to s.
func inState(s State, epoch int16) *Transaction {
	t := &Transaction{
		State: s, ProducerID: 5, ProducerEpoch: epoch, LastProducerEpoch: NoProducerEpoch,
		PrevProducerID: 5, NextProducerID: NoProducerID, Timeout: time.Minute, StartTime: noTime, LastUpdate: start.UnixMilli(),
	}
	if s != Empty {
		t.StartTime = start.UnixMilli()
	}
	if s == Ongoing || s.prepared() {
		t.Participants = []Participant{orders0}
	}
	return t
}

func initBy(id int64, epoch int16) initRequest {
	return initRequest{timeout: time.Minute, expectedID: id, expectedEpoch: epoch, newID: 77, serverVersion: TV2, now: start}
}

func anyone() initRequest { return initBy(NoProducerID, NoProducerEpoch) }

// wants is what an outcome should be; a nil error is checked too.
type wants struct {
	err   error
	state State // of what is stored; -1: nothing is
	id    int64 // told to the client
	epoch int16
}

const nothing = State(-1)

func (w wants) check(t *testing.T, got outcome, err error) {
	t.Helper()
	if err == nil {
		err = got.err
	}
	if !errors.Is(err, w.err) || (err == nil) != (w.err == nil) {
		t.Fatalf("error %v, want %v", err, w.err)
	}
	stored := nothing
	if got.next != nil {
		stored = got.next.State
	}
	if stored != w.state {
		t.Errorf("stored %v, want %v", stored, w.state)
	}
	if w.err == nil && (got.producerID != w.id || got.producerEpoch != w.epoch) {
		t.Errorf("told %d/%d, want %d/%d", got.producerID, got.producerEpoch, w.id, w.epoch)
	}
}

func TestInitProducerID(t *testing.T) {
	again := inState(Empty, 4)
	again.LastProducerEpoch = 3
	rotated := inState(Empty, 0)
	rotated.ProducerID, rotated.PrevProducerID, rotated.LastProducerEpoch = 77, 5, LastEpoch
	for _, c := range []struct {
		name string
		t    *Transaction
		r    initRequest
		want wants
	}{
		{"an unknown id gets a new producer id", nil, anyone(), wants{nil, Empty, 77, 0}},
		{"D22: what an unknown id's client claims is not looked at", nil, initBy(0, 0), wants{nil, Empty, 77, 0}},
		{"D22: producer id 0 on a known id is fenced", inState(Empty, 0), initBy(0, 0), wants{err: kerr.ProducerFenced, state: nothing}},
		{"D11: the producer id of another is fenced", inState(Ongoing, 0), initBy(6, 0), wants{err: kerr.ProducerFenced, state: nothing}},
		{"a second producer fences the first", inState(Empty, 3), anyone(), wants{nil, Empty, 5, 4}},
		{"after a commit too", inState(CompleteCommit, 3), anyone(), wants{nil, Empty, 5, 4}},
		{"after an abort too", inState(CompleteAbort, 3), anyone(), wants{nil, Empty, 5, 4}},
		{"D12: an open transaction is aborted first", inState(Ongoing, 3), anyone(), wants{err: kerr.ConcurrentTransactions, state: PrepareAbort}},
		{"while markers are in flight it asks again", inState(PrepareCommit, 3), anyone(), wants{err: kerr.ConcurrentTransactions, state: nothing}},
		{"even a fenced one does", inState(PrepareAbort, 3), initBy(6, 0), wants{err: kerr.ConcurrentTransactions, state: nothing}},
		{"KIP-360: a producer bumps its own epoch", inState(Empty, 3), initBy(5, 3), wants{nil, Empty, 5, 4}},
		{"KIP-360: a lost answer is given again, without a bump", again, initBy(5, 3), wants{nil, Empty, 5, 4}},
		{"KIP-360: an older epoch is fenced", again, initBy(5, 2), wants{err: kerr.ProducerFenced, state: nothing}},
		{"a zombie does not abort the transaction of its successor", inState(Ongoing, 3), initBy(5, 2), wants{err: kerr.ProducerFenced, state: nothing}},
		{"the holder's open transaction is aborted", inState(Ongoing, 3), initBy(5, 3), wants{err: kerr.ConcurrentTransactions, state: PrepareAbort}},
		{"the last epoch may be reached", inState(Empty, LastEpoch-1), anyone(), wants{nil, Empty, 5, LastEpoch}},
		{"after the last epoch the id rotates", inState(Empty, LastEpoch), anyone(), wants{nil, Empty, 77, 0}},
		{"after the fence of the last epoch too", inState(CompleteAbort, math.MaxInt16), anyone(), wants{nil, Empty, 77, 0}},
		{"KIP-360: the holder of the last epoch gets a new id", inState(Empty, LastEpoch), initBy(5, LastEpoch), wants{nil, Empty, 77, 0}},
		{"KAFKA-20310: and again when the answer was lost", rotated, initBy(5, LastEpoch), wants{nil, Empty, 77, 0}},
		{"an older epoch of a rotated id is fenced", rotated, initBy(5, LastEpoch-1), wants{err: kerr.ProducerFenced, state: nothing}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decideInit(c.t, c.r)
			c.want.check(t, got, err)
		})
	}
}

func TestInitProducerIDAsksForAnID(t *testing.T) {
	r := anyone()
	r.newID = NoProducerID
	for name, before := range map[string]*Transaction{
		"unknown": nil, "exhausted": inState(Empty, LastEpoch), "open at the last epoch": inState(Ongoing, LastEpoch),
	} {
		if _, err := decideInit(before, r); !errors.Is(err, errNeedProducerID) {
			t.Errorf("%s: %v, want %v", name, err, errNeedProducerID)
		}
	}
	if _, err := decideInit(inState(Ongoing, 3), r); err != nil {
		t.Errorf("open: %v", err)
	}
}

// A lost answer of a rotation is given again as often as it is asked for.
func TestRepeatedRotationAnswer(t *testing.T) {
	now := inState(Empty, LastEpoch)
	first, err := decideInit(now, initBy(5, LastEpoch))
	for range 3 {
		wants{nil, Empty, 77, 0}.check(t, first, err)
		r := initBy(5, LastEpoch)
		r.newID = 78
		first, err = decideInit(first.next, r)
	}
}

func add(id int64, epoch int16, ps ...Participant) addRequest {
	return addRequest{id, epoch, ps, TV0, start.Add(time.Second)}
}

func TestAddPartitions(t *testing.T) {
	for _, c := range []struct {
		name string
		t    *Transaction
		r    addRequest
		want wants
	}{
		{"unknown id", nil, add(5, 3, orders0), wants{err: kerr.InvalidProducerIDMapping, state: nothing}},
		{"producer id of another", inState(Empty, 3), add(6, 3, orders0), wants{err: kerr.InvalidProducerIDMapping, state: nothing}},
		{"older epoch", inState(Empty, 3), add(5, 2, orders0), wants{err: kerr.ProducerFenced, state: nothing}},
		{"newer epoch", inState(Empty, 3), add(5, 4, orders0), wants{err: kerr.ProducerFenced, state: nothing}},
		{"the first begins the transaction", inState(Empty, 3), add(5, 3, orders0), wants{nil, Ongoing, 0, 0}},
		{"the next transaction begins", inState(CompleteCommit, 3), add(5, 3, orders0), wants{nil, Ongoing, 0, 0}},
		{"one more joins", inState(Ongoing, 3), add(5, 3, orders1), wants{nil, Ongoing, 0, 0}},
		{"one that is in stores nothing", inState(Ongoing, 3), add(5, 3, orders0), wants{nil, nothing, 0, 0}},
		{"markers in flight", inState(PrepareCommit, 3), add(5, 3, orders0), wants{err: kerr.ConcurrentTransactions, state: nothing}},
		{"KAFKA-18660: the id that takes over is not refused", inState(PrepareCommit, math.MaxInt16), add(77, 0, orders0), wants{err: kerr.ConcurrentTransactions, state: nothing}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decideAdd(c.t, c.r)
			c.want.check(t, got, err)
		})
	}
}

func TestAddPartitionsKeepsStartAndSortsParticipants(t *testing.T) {
	first, err := decideAdd(inState(Empty, 3), add(5, 3, orders1))
	if err != nil {
		t.Fatal(err)
	}
	later := add(5, 3, orders0, orders1)
	later.now = start.Add(time.Hour)
	second, err := decideAdd(first.next, later)
	if err != nil {
		t.Fatal(err)
	}
	n := second.next
	if len(n.Participants) != 2 || n.Participants[0] != orders0 || n.Participants[1] != orders1 {
		t.Errorf("participants %v", n.Participants)
	}
	if len(first.next.Participants) != 1 {
		t.Errorf("the state before was changed: %v", first.next.Participants)
	}
	if n.StartTime != start.Add(time.Second).UnixMilli() || n.LastUpdate != start.Add(time.Hour).UnixMilli() {
		t.Errorf("start %d, update %d", n.StartTime, n.LastUpdate)
	}
}

func TestVerifyPartitions(t *testing.T) {
	errs, err := decideVerify(inState(Ongoing, 3), add(5, 3, orders0, orders1))
	if err != nil || errs[0] != nil || !errors.Is(errs[1], kerr.TransactionAbortable) {
		t.Errorf("%v, %v", errs, err)
	}
	anew := orders0
	anew.TopicID = [16]byte{2}
	errs, err = decideVerify(inState(Ongoing, 3), add(5, 3, anew))
	if err != nil || !errors.Is(errs[0], kerr.TransactionAbortable) {
		t.Errorf("a topic created anew: %v, %v", errs, err)
	}
	for name, c := range map[string]struct {
		t    *Transaction
		r    addRequest
		want error
	}{
		"unknown":           {nil, add(5, 3, orders0), kerr.InvalidProducerIDMapping},
		"other producer":    {inState(Ongoing, 3), add(6, 3, orders0), kerr.InvalidProducerIDMapping},
		"fenced":            {inState(Ongoing, 3), add(5, 2, orders0), kerr.ProducerFenced},
		"markers in flight": {inState(PrepareAbort, 3), add(5, 3, orders0), kerr.ConcurrentTransactions},
	} {
		if _, err := decideVerify(c.t, c.r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestExpiryNeedsASettledStateAndTheWholeTime(t *testing.T) {
	for s := Empty; s <= PrepareEpochFence; s++ {
		x := inState(s, 0)
		if got, want := x.expired(time.Hour, time.Hour), s.settled(); got != want {
			t.Errorf("%v expires: %v, want %v", s, got, want)
		}
		if x.expired(time.Hour-1, time.Hour) {
			t.Errorf("%v expires too early", s)
		}
	}
}
