package log

import (
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
)

// one is a batch of one record of producer 7.
func one(epoch int16, sequence int32) record.Batch { return data(7, epoch, sequence, 1, 10, false) }

// inTxn is one inside a transaction.
func inTxn(epoch int16, sequence int32) record.Batch { return data(7, epoch, sequence, 1, 10, true) }

// ones are batches of one record each, of consecutive sequences.
func ones(epoch int16, first int32, n int) (list []record.Batch) {
	for i := range n {
		list = append(list, one(epoch, record.AddSequence(first, int32(i))))
	}
	return list
}

// TestProducerRules holds section 3 with D1 to D9, and hard-05: what a batch
// means to a partition that has stored others of the same producer.
func TestProducerRules(t *testing.T) {
	const last = math.MaxInt32
	tv2 := ProduceInfo{TV2: true}
	pending := func(lowest int32) ProduceInfo { return ProduceInfo{Verifying: true, LowestSequence: lowest} }
	cases := []struct {
		name   string
		stored []record.Batch
		asked  record.Batch
		info   ProduceInfo
		first  int64 // offset of the original for a duplicate, else -1
		want   *kerr.Error
	}{
		{"the first batch", nil, one(0, 0), ProduceInfo{}, -1, nil},
		{"the next sequence", ones(0, 0, 6), one(0, 6), ProduceInfo{}, -1, nil},
		{"D1 newest of six again", ones(0, 0, 6), one(0, 5), ProduceInfo{}, 5, nil},
		{"D2 fifth newest again", ones(0, 0, 6), one(0, 1), ProduceInfo{}, 1, nil},
		{"D3 sixth newest again", ones(0, 0, 6), one(0, 0), ProduceInfo{}, -1, kerr.OutOfOrderSequenceNumber},
		{"D4 gap", ones(0, 0, 6), one(0, 8), ProduceInfo{}, -1, kerr.OutOfOrderSequenceNumber},
		{"D4 overlap", ones(0, 0, 6), data(7, 0, 5, 2, 10, false), ProduceInfo{}, -1, kerr.OutOfOrderSequenceNumber},
		{"D5 new epoch not from 0", ones(0, 0, 3), one(1, 3), ProduceInfo{}, -1, kerr.OutOfOrderSequenceNumber},
		{"D5 new epoch from 0", ones(0, 0, 3), one(1, 0), ProduceInfo{}, -1, nil},
		{"D6 old epoch", ones(1, 0, 3), one(0, 3), ProduceInfo{}, -1, kerr.InvalidProducerEpoch},
		{"old epoch, even of a remembered sequence", append(ones(0, 0, 2), one(1, 0)), one(0, 1), ProduceInfo{}, -1, kerr.InvalidProducerEpoch},
		{"D7 unknown producer at any sequence", []record.Batch{plain(3, 10)}, one(0, last-1), ProduceInfo{}, -1, nil},
		{"D8 the largest sequence", []record.Batch{one(0, last-1)}, one(0, last), ProduceInfo{}, -1, nil},
		{"D8 after it 0", ones(0, last-1, 2), one(0, 0), ProduceInfo{}, -1, nil},
		{"D8 after it not 1", ones(0, last-1, 2), one(0, 1), ProduceInfo{}, -1, kerr.OutOfOrderSequenceNumber},
		{"D9 after a batch across the wrap", []record.Batch{data(7, 0, last-7, 10, 10, false)}, one(0, 2), ProduceInfo{}, -1, nil},
		{"D9 a batch across the wrap again", []record.Batch{data(7, 0, last-7, 10, 10, false)}, data(7, 0, last-7, 10, 10, false), ProduceInfo{}, 0, nil},
		{"hard-05 unknown TV1 producer at any sequence", nil, inTxn(0, 44), ProduceInfo{}, -1, nil},
		{"hard-05 unknown TV2 producer not from 0", nil, inTxn(0, 44), tv2, -1, kerr.OutOfOrderSequenceNumber},
		{"hard-05 unknown TV2 producer from 0", nil, inTxn(0, 0), tv2, -1, nil},
		{"hard-05 TV2 producer known by its marker only", []record.Batch{marker(7, 3, true, 1)}, inTxn(3, 44), tv2, -1, kerr.OutOfOrderSequenceNumber},
		{"hard-05 behind the sequence that waits for verification", nil, inTxn(0, 1), pending(0), -1, kerr.OutOfOrderSequenceNumber},
		{"hard-05 the sequence that waits for verification", nil, inTxn(0, 0), pending(0), -1, nil},
		{"a marker of a new epoch clears the window", append(ones(0, 0, 3), marker(7, 1, true, 1)), one(1, 3), ProduceInfo{}, -1, kerr.OutOfOrderSequenceNumber},
		{"after it sequences begin at 0", append(ones(0, 0, 3), marker(7, 1, true, 1)), one(1, 0), ProduceInfo{}, -1, nil},
		{"a marker of the same epoch keeps the window", append(ones(0, 0, 3), marker(7, 0, true, 1)), one(0, 2), ProduceInfo{}, 2, nil},
		{"outside an open transaction", []record.Batch{inTxn(0, 0)}, one(0, 1), ProduceInfo{}, -1, kerr.InvalidTxnState},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := mustOpen(t, newDisk(), Config{})
			for _, b := range c.stored {
				put(t, l, b)
			}
			verdict, err := l.CheckBatch(c.asked, c.info)
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if verdict.Duplicate != (c.first >= 0) || verdict.Duplicate && verdict.BaseOffset != c.first {
				t.Errorf("%+v, want a duplicate of offset %d", verdict, c.first)
			}
			if l.EndOffset() != sum(c.stored) {
				t.Errorf("log end %d: a check stored something", l.EndOffset())
			}
		})
	}
}

// sum is how many offsets batches take.
func sum(batches []record.Batch) (n int64) {
	for _, b := range batches {
		n += int64(b.LastOffsetDelta()) + 1
	}
	return n
}

// The message of a refusal tells what came and what was expected.
func TestOutOfOrderTellsWhatWasExpected(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{})
	put(t, l, one(0, 0))
	_, err := l.CheckBatch(one(0, 8), ProduceInfo{})
	const want = "producer 7 epoch 0: sequence 8, want 1: "
	if err == nil || err.Error()[:min(len(want), len(err.Error()))] != want {
		t.Errorf("%v, want %q and the code", err, want)
	}
}

// hard-01: in a round a batch is judged with those before it, and nothing of
// that outlives the round.
func TestHard01RoundSeesItsOwnBatches(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{})
	put(t, l, one(0, 0))
	round := l.Tentative()
	for _, c := range []struct {
		batch   record.Batch
		refused bool
		verdict Verdict
		base    int64
	}{
		{batch: one(0, 2), refused: true},
		{batch: one(0, 1), base: 1},
		{batch: one(0, 2), base: 2},
		{batch: one(0, 1), verdict: Verdict{Duplicate: true, Pending: true, BaseOffset: 1, LastOffset: 1, AppendTime: 1000}},
		{batch: one(0, 0), verdict: Verdict{Duplicate: true, BaseOffset: 0, LastOffset: 0, AppendTime: 1000}},
		{batch: plain(3, 1), base: 3},
	} {
		verdict, err := round.Check(c.batch, ProduceInfo{})
		if (err != nil) != c.refused || verdict != c.verdict {
			t.Fatalf("sequence %d: %+v, %v, want %+v", c.batch.BaseSequence(), verdict, err, c.verdict)
		}
		if c.refused || verdict.Duplicate {
			continue
		}
		if base, err := round.Install(c.batch); err != nil || base != c.base {
			t.Errorf("sequence %d: base offset %d, %v, want %d", c.batch.BaseSequence(), base, err, c.base)
		}
	}
	if _, err := l.Tentative().Check(one(0, 2), ProduceInfo{}); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
		t.Errorf("the next round, though nothing was stored: %v", err)
	}
}

// TestHard09ProducerExpiry: age counts from the append here, not from the
// records' time; a restart counts from the load; an open transaction stays.
func TestHard09ProducerExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, cfg := newDisk(), Config{ProducerExpiration: time.Hour}
		l := mustOpen(t, fs, cfg)
		put(t, l, data(1, 0, 0, 1, 10, false)) // its records are of 1970
		put(t, l, data(2, 0, 0, 1, 10, true))
		expire := func(after time.Duration, want ...int64) {
			t.Helper()
			time.Sleep(after)
			l.ExpireProducers(time.Now())
			var got []int64
			for _, p := range l.Producers() {
				got = append(got, p.ProducerID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("producers %v, want %v", got, want)
			}
		}
		expire(59*time.Minute, 1, 2)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = mustOpen(t, fs, cfg)
		expire(59*time.Minute, 1, 2)
		expire(2*time.Minute, 2)
		put(t, l, marker(2, 0, true, 1))
		expire(59*time.Minute, 2)
		expire(2 * time.Minute)
	})
}

// TestHard12MarkerIsJudgedByState: what a marker means is told by the
// partition's state, so that the marker of the next transaction of the same
// producer, epoch and coordinator is no repeat.
func TestHard12MarkerIsJudgedByState(t *testing.T) {
	open, closed := []record.Batch{inTxn(3, 0)}, []record.Batch{inTxn(3, 0), marker(7, 3, true, 5)}
	next := append(slices.Clone(closed), inTxn(3, 1))
	tv1 := func(epoch int16, coordinator int32) Marker {
		return Marker{ProducerID: 7, Epoch: epoch, CoordinatorEpoch: coordinator, Commit: true}
	}
	tv2 := func(epoch int16) Marker {
		return Marker{ProducerID: 7, Epoch: epoch, CoordinatorEpoch: 5, TV2: true}
	}
	for _, c := range []struct {
		name   string
		stored []record.Batch
		asked  Marker
		append bool
		want   *kerr.Error
	}{
		{"TV1 unknown producer", nil, tv1(3, 5), true, nil},
		{"TV1 open", open, tv1(3, 5), true, nil},
		{"TV1 open, newer epoch fences", open, tv1(4, 5), true, nil},
		{"TV1 older epoch", open, tv1(2, 5), false, kerr.InvalidProducerEpoch},
		{"TV1 repeat", closed, tv1(3, 5), false, nil},
		{"TV1 next transaction of the same epoch", next, tv1(3, 5), true, nil},
		{"older coordinator", next, tv1(3, 4), false, kerr.TransactionCoordinatorFenced},
		{"newer coordinator", next, tv1(3, 6), true, nil},
		{"TV2 unknown producer", nil, tv2(4), true, nil},
		{"TV2 open, the next epoch", open, tv2(4), true, nil},
		{"TV2 open, its own epoch is that of the transaction before", open, tv2(3), false, kerr.InvalidProducerEpoch},
		{"TV2 older epoch", open, tv2(2), false, kerr.InvalidProducerEpoch},
		{"TV2 repeat", closed, tv2(3), false, nil},
		{"TV2 repeat at the largest epoch", []record.Batch{inTxn(math.MaxInt16, 0)}, tv2(math.MaxInt16), false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := mustOpen(t, newDisk(), Config{})
			for _, b := range c.stored {
				put(t, l, slices.Clone(b))
			}
			need, err := l.CheckMarker(c.asked)
			if need != c.append || c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("append %v, %v, want %v, %v", need, err, c.append, c.want)
			}
		})
	}
}

// TestHard15LastStableOffset: a transaction bounds it while it is open or its
// marker is not below the high watermark; the log start bounds it from below.
func TestHard15LastStableOffset(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{})
	for _, b := range []record.Batch{
		plain(1, 10),               // 0
		data(1, 0, 0, 1, 10, true), // 1
		data(2, 0, 0, 1, 10, true), // 2
		marker(1, 0, true, 1),      // 3
		plain(1, 10),               // 4
		marker(2, 0, false, 1),     // 5
		data(3, 0, 0, 1, 10, true), // 6
		plain(2, 10),               // 7, 8
		data(4, 0, 0, 1, 10, true), // 9
		marker(9, 0, false, 1),     // 10: nothing of it is here
	} {
		put(t, l, b)
	}
	for hw, want := range []int64{0, 1, 1, 1, 2, 2, 6, 6, 6, 6, 6, 6} {
		if got := l.LastStableOffset(int64(hw)); got != want {
			t.Errorf("high watermark %d: %d, want %d", hw, got, want)
		}
	}
	// DeleteRecords may cut through an open transaction.
	if err := l.ApplyStart(8, 11, l.LastIndex()); err != nil {
		t.Fatal(err)
	}
	if got := l.LastStableOffset(11); got != 8 {
		t.Errorf("log start 8: %d, want 8", got)
	}
}

// hard-15: a marker that is truncated leaves the transaction open and no entry
// among the aborted ones.
func TestHard15TruncatedMarkerOpensTheTransactionAgain(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{})
	put(t, l, inTxn(0, 0))
	put(t, l, marker(7, 0, false, 1))
	aborted := func() int {
		t.Helper()
		list, err := l.Aborted(0, l.EndOffset(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if n := aborted(); n != 1 {
		t.Errorf("%d aborted transactions, want 1", n)
	}
	if err := l.TruncateSuffix(l.LastIndex()); err != nil {
		t.Fatal(err)
	}
	_, _, open := l.OpenTransaction(7)
	if n := aborted(); n != 0 || !open || l.LastStableOffset(1) != 0 {
		t.Errorf("aborted %d, open %v, last stable offset %d", n, open, l.LastStableOffset(1))
	}
}

// Transactions that ended long ago cost nothing: neither memory nor time at
// each move of the high watermark.
func TestEndedTransactionsAreForgotten(t *testing.T) {
	s := newProducers()
	offset := int64(0)
	for range 10 * keepCompleted {
		s.apply(Row{Kind: KindBatch, ProducerID: 1, BaseSequence: -1, BaseOffset: offset, Count: 1, Attributes: transactionalBit}, time.Time{})
		s.apply(Row{Kind: KindBatch, ProducerID: 1, BaseSequence: -1, BaseOffset: offset + 1, Count: 1, Attributes: transactionalBit | controlBit}, time.Time{})
		if got := s.lastStableOffset(offset + 1); got != offset {
			t.Fatalf("marker at the high watermark: last stable offset %d, want %d", got, offset)
		}
		offset += 2
		if got := s.lastStableOffset(offset); got != offset {
			t.Fatalf("last stable offset %d, want %d", got, offset)
		}
	}
	if n := len(s.completed); n > 2*keepCompleted {
		t.Errorf("%d ended transactions are remembered", n)
	}
}
