package txn

import (
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

const commit, abort = true, false

func endV1(id int64, epoch int16, commit bool) endRequest {
	return endRequest{id, epoch, commit, 77, TV0, start.Add(time.Second)}
}

func endV2(id int64, epoch int16, commit bool) endRequest {
	return endRequest{id, epoch, commit, 77, TV2, start.Add(time.Second)}
}

func TestEndTxnV1(t *testing.T) {
	for _, c := range []struct {
		name string
		t    *Transaction
		r    endRequest
		want wants
	}{
		{"D10: producer id of another", inState(Ongoing, 3), endV1(6, 3, commit), wants{err: kerr.InvalidProducerIDMapping, state: nothing}},
		{"unknown id", nil, endV1(5, 3, commit), wants{err: kerr.InvalidProducerIDMapping, state: nothing}},
		{"D15: a zombie is fenced", inState(Ongoing, 3), endV1(5, 2, commit), wants{err: kerr.ProducerFenced, state: nothing}},
		{"commit", inState(Ongoing, 3), endV1(5, 3, commit), wants{nil, PrepareCommit, -1, -1}},
		{"abort", inState(Ongoing, 3), endV1(5, 3, abort), wants{nil, PrepareAbort, -1, -1}},
		{"commit again", inState(CompleteCommit, 3), endV1(5, 3, commit), wants{nil, nothing, -1, -1}},
		{"abort again", inState(CompleteAbort, 3), endV1(5, 3, abort), wants{nil, nothing, -1, -1}},
		{"abort after commit", inState(CompleteCommit, 3), endV1(5, 3, abort), wants{err: kerr.InvalidTxnState, state: nothing}},
		{"commit after abort", inState(CompleteAbort, 3), endV1(5, 3, commit), wants{err: kerr.InvalidTxnState, state: nothing}},
		{"commit under way", inState(PrepareCommit, 3), endV1(5, 3, commit), wants{err: kerr.ConcurrentTransactions, state: nothing}},
		{"abort of a commit under way", inState(PrepareCommit, 3), endV1(5, 3, abort), wants{err: kerr.InvalidTxnState, state: nothing}},
		{"empty commit", inState(Empty, 3), endV1(5, 3, commit), wants{err: kerr.InvalidTxnState, state: nothing}},
		{"empty abort", inState(Empty, 3), endV1(5, 3, abort), wants{err: kerr.InvalidTxnState, state: nothing}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decideEnd(c.t, c.r)
			c.want.check(t, got, err)
			if n := got.next; n != nil && (n.ProducerEpoch != 3 || n.ClientVersion != TV0) {
				t.Errorf("epoch %d version %d, want 3 and 0", n.ProducerEpoch, n.ClientVersion)
			}
		})
	}
}

func TestEndTxnV2(t *testing.T) {
	for _, c := range []struct {
		name string
		t    *Transaction
		r    endRequest
		want wants
	}{
		{"D10: producer id of another", inState(Ongoing, 3), endV2(6, 3, commit), wants{err: kerr.InvalidProducerIDMapping, state: nothing}},
		{"D15: a zombie is fenced", inState(Ongoing, 3), endV2(5, 1, commit), wants{err: kerr.ProducerFenced, state: nothing}},
		{"the end of the transaction before does not end this one", inState(Ongoing, 3), endV2(5, 2, commit), wants{err: kerr.ProducerFenced, state: nothing}},
		{"commit bumps", inState(Ongoing, 3), endV2(5, 3, commit), wants{nil, PrepareCommit, 5, 4}},
		{"abort bumps", inState(Ongoing, 3), endV2(5, 3, abort), wants{nil, PrepareAbort, 5, 4}},
		{"D16: commit of nothing", inState(Empty, 3), endV2(5, 3, commit), wants{err: kerr.InvalidTxnState, state: nothing}},
		{"D17: abort of nothing bumps", inState(Empty, 3), endV2(5, 3, abort), wants{nil, PrepareAbort, 5, 4}},
		{"KAFKA-18464: abort of nothing with the epoch before is fenced", inState(Empty, 3), endV2(5, 2, abort), wants{err: kerr.ProducerFenced, state: nothing}},
		{"D18: the same commit again", inState(CompleteCommit, 4), endV2(5, 3, commit), wants{nil, nothing, 5, 4}},
		{"D18: again as abort", inState(CompleteCommit, 4), endV2(5, 3, abort), wants{err: kerr.InvalidTxnState, state: nothing}},
		{"the same abort again", inState(CompleteAbort, 4), endV2(5, 3, abort), wants{nil, nothing, 5, 4}},
		{"KAFKA-20785: commit after the coordinator aborted", inState(CompleteAbort, 4), endV2(5, 3, commit), wants{err: kerr.InvalidTxnState, state: nothing}},
		{"KAFKA-18464: abort of the next, empty one bumps", inState(CompleteCommit, 4), endV2(5, 4, abort), wants{nil, PrepareAbort, 5, 5}},
		{"the same after an abort", inState(CompleteAbort, 4), endV2(5, 4, abort), wants{nil, PrepareAbort, 5, 5}},
		{"commit of the next, empty one", inState(CompleteCommit, 4), endV2(5, 4, commit), wants{err: kerr.InvalidTxnState, state: nothing}},
		{"an epoch from nowhere", inState(CompleteCommit, 4), endV2(5, 5, abort), wants{err: kerr.ProducerFenced, state: nothing}},
		{"hard-17: the same end under way", inState(PrepareCommit, 4), endV2(5, 3, commit), wants{err: kerr.ConcurrentTransactions, state: nothing}},
		{"hard-17: the other end under way", inState(PrepareCommit, 4), endV2(5, 3, abort), wants{err: kerr.ConcurrentTransactions, state: nothing}},
		{"the next transaction's end, markers in flight", inState(PrepareCommit, 4), endV2(5, 4, abort), wants{err: kerr.ConcurrentTransactions, state: nothing}},
		{"D13: a zombie, markers in flight", inState(PrepareAbort, 4), endV2(5, 1, commit), wants{err: kerr.ConcurrentTransactions, state: nothing}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decideEnd(c.t, c.r)
			c.want.check(t, got, err)
			if n := got.next; n != nil && (n.ProducerEpoch != c.t.ProducerEpoch+1 || n.LastProducerEpoch != c.t.ProducerEpoch || n.ClientVersion != TV2) {
				t.Errorf("epoch %d after %d, version %d", n.ProducerEpoch, n.LastProducerEpoch, n.ClientVersion)
			}
		})
	}
}

// step fails the test on an error and returns the stored state.
func step(t *testing.T, got outcome, err error) *Transaction {
	t.Helper()
	if err != nil || got.next == nil {
		t.Fatalf("nothing stored: %v", err)
	}
	return got.next
}

// KAFKA-18660: the transaction of the last epoch ends with markers of the epoch
// that nobody holds, and the client goes on with a new producer id.
func TestKafka18660EpochOverflow(t *testing.T) {
	got, err := decideEnd(inState(Ongoing, LastEpoch), endV2(5, LastEpoch, commit))
	wants{nil, PrepareCommit, 77, 0}.check(t, got, err)
	prepared := step(t, got, err)
	if prepared.ProducerID != 5 || prepared.ProducerEpoch != math.MaxInt16 || prepared.NextProducerID != 77 {
		t.Fatalf("markers carry %d/%d, next %d", prepared.ProducerID, prepared.ProducerEpoch, prepared.NextProducerID)
	}
	got, err = decideEnd(prepared, endV2(77, 0, abort))
	wants{err: kerr.ConcurrentTransactions, state: nothing}.check(t, got, err)

	got, err = decideComplete(prepared, start)
	done := step(t, got, err)
	if done.State != CompleteCommit || done.ProducerID != 77 || done.ProducerEpoch != 0 || done.PrevProducerID != 5 || done.NextProducerID != NoProducerID {
		t.Fatalf("completed as %+v", done)
	}
	got, err = decideEnd(done, endV2(5, LastEpoch, commit))
	wants{nil, nothing, 77, 0}.check(t, got, err)
	got, err = decideEnd(done, endV2(5, LastEpoch, abort))
	wants{err: kerr.InvalidTxnState, state: nothing}.check(t, got, err)
	got, err = decideEnd(done, endV2(5, LastEpoch-1, commit))
	wants{err: kerr.InvalidProducerIDMapping, state: nothing}.check(t, got, err)

	open := step2(t)(decideAdd(done, add(77, 0, orders0)))
	got, err = decideEnd(open, endV2(5, LastEpoch, commit))
	wants{err: kerr.InvalidProducerIDMapping, state: nothing}.check(t, got, err)
}

func step2(t *testing.T) func(outcome, error) *Transaction {
	return func(o outcome, err error) *Transaction {
		t.Helper()
		return step(t, o, err)
	}
}

func fenced(version int16, newID int64) fenceRequest {
	return fenceRequest{newID: newID, serverVersion: version, now: start}
}

// KAFKA-19367: fencing bumps the epoch once, not once for the fence and once for
// the abort; and the holder's own abort afterwards counts as a repeat.
func TestKafka19367FenceBumpsOnce(t *testing.T) {
	for version, level := range map[string]int16{"TV1": TV1, "TV2": TV2} {
		n := step2(t)(decideFence(inState(Ongoing, 3), fenced(level, NoProducerID)))
		if n.State != PrepareAbort || n.ProducerEpoch != 4 {
			t.Errorf("%s: %v with epoch %d, want PrepareAbort with 4", version, n.State, n.ProducerEpoch)
		}
		n = step2(t)(decideComplete(n, start))
		n = step2(t)(decideInit(n, anyone()))
		if n.ProducerEpoch != 5 {
			t.Errorf("%s: the next producer gets epoch %d, want 5", version, n.ProducerEpoch)
		}
	}
}

// KAFKA-9666, KAFKA-19367: a fence whose append failed bumps to the same epoch
// when it is decided again, however often.
func TestKafka9666FailedFenceDoesNotBumpAgain(t *testing.T) {
	open := inState(Ongoing, 3)
	for range 5 {
		for _, level := range []int16{TV0, TV2} {
			if n := step2(t)(decideFence(open, fenced(level, NoProducerID))); n.ProducerEpoch != 4 {
				t.Fatalf("epoch %d, want 4", n.ProducerEpoch)
			}
		}
	}
}

// KAFKA-20090: a transaction that times out at the last epoch rotates the id, and
// the late abort of its producer is told the new one.
func TestKafka20090TimeoutAtTheLastEpochRotates(t *testing.T) {
	open := inState(Ongoing, LastEpoch)
	if _, err := decideFence(open, fenced(TV2, NoProducerID)); err != errNeedProducerID {
		t.Fatalf("%v, want %v", err, errNeedProducerID)
	}
	n := step2(t)(decideFence(open, fenced(TV2, 77)))
	if n.ProducerEpoch != math.MaxInt16 || n.NextProducerID != 77 {
		t.Fatalf("fenced as %+v", n)
	}
	n = step2(t)(decideComplete(n, start))
	got, err := decideEnd(n, endV2(5, LastEpoch, abort))
	wants{nil, nothing, 77, 0}.check(t, got, err)
	n = step2(t)(decideInit(n, anyone()))
	if n.ProducerID != 77 || n.ProducerEpoch != 1 {
		t.Errorf("the next producer gets %d/%d, want 77/1", n.ProducerID, n.ProducerEpoch)
	}
}

// KAFKA-20090: a transactional id that an older coordinator left at the largest
// epoch still gets out of it.
func TestKafka20090RecoversFromTheLargestEpoch(t *testing.T) {
	for version, level := range map[string]int16{"TV1": TV1, "TV2": TV2} {
		n := step2(t)(decideFence(inState(Ongoing, math.MaxInt16), fenced(level, 77)))
		if n.ProducerEpoch != math.MaxInt16 {
			t.Errorf("%s: epoch %d, want %d", version, n.ProducerEpoch, math.MaxInt16)
		}
		n = step2(t)(decideComplete(n, start))
		n = step2(t)(decideInit(n, anyone()))
		if n.ProducerID != 77 {
			t.Errorf("%s: producer id %d, want 77", version, n.ProducerID)
		}
	}
	got, err := decideEnd(inState(Ongoing, math.MaxInt16), endV2(5, math.MaxInt16, commit))
	wants{err: kerr.ProducerFenced, state: nothing}.check(t, got, err)
}

// KAFKA-19999: the markers of a prepared transaction carry its epoch and always
// the same, so a coordinator that repeats them after a failover is recognised.
func TestKafka19999RepeatedMarkersCarryTheSameEpoch(t *testing.T) {
	prepared := step2(t)(decideEnd(inState(Ongoing, 3), endV2(5, 3, commit)))
	id, back, err := decode(encode("a", prepared, start))
	if err != nil || id != "a" || back.ProducerEpoch != 4 || back.ProducerID != 5 || back.ClientVersion != TV2 {
		t.Errorf("%q %+v, %v", id, back, err)
	}
}

// KAFKA-20785: in 4.3.1, a commit that comes after the coordinator aborted at the
// timeout is INVALID_TXN_STATE, an abort is answered like the first.
func TestKafka20785EndAfterTimeout(t *testing.T) {
	n := step2(t)(decideFence(inState(Ongoing, 3), fenced(TV2, NoProducerID)))
	n = step2(t)(decideComplete(n, start))
	got, err := decideEnd(n, endV2(5, 3, commit))
	wants{err: kerr.InvalidTxnState, state: nothing}.check(t, got, err)
	got, err = decideEnd(n, endV2(5, 3, abort))
	wants{nil, nothing, 5, 4}.check(t, got, err)
}

func TestFenceNeedsAnOpenTransaction(t *testing.T) {
	for s := Empty; s <= PrepareEpochFence; s++ {
		_, err := decideFence(inState(s, 3), fenced(TV2, NoProducerID))
		if (err == nil) != (s == Ongoing) {
			t.Errorf("%v: %v", s, err)
		}
	}
}

func TestCompleteNeedsAPreparedTransaction(t *testing.T) {
	for s := Empty; s <= PrepareEpochFence; s++ {
		_, err := decideComplete(inState(s, 3), start)
		if (err == nil) != s.prepared() {
			t.Errorf("%v: %v", s, err)
		}
	}
}

// An empty abort of KIP-890 has no start time of its own: Kafka wants one.
func TestEmptyAbortHasAStartTime(t *testing.T) {
	n := step2(t)(decideEnd(inState(Empty, 3), endV2(5, 3, abort)))
	if n.StartTime != start.Add(time.Second).UnixMilli() {
		t.Errorf("start time %d", n.StartTime)
	}
}
