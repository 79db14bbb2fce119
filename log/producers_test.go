package log

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
)

// sent is a batch of records with first sequence seq, as a client sends it.
func sent(epoch int16, seq int32, n int) record.Batch { return data(1, epoch, seq, n, 1, false) }

func TestIdempotentProducer(t *testing.T) {
	inTxn := func(epoch int16, seq int32) record.Batch { return data(1, epoch, seq, 1, 1, true) }
	six := []record.Batch{sent(0, 0, 1), sent(0, 1, 1), sent(0, 2, 1), sent(0, 3, 1), sent(0, 4, 1), sent(0, 5, 1)}
	for _, c := range []struct {
		name      string
		stored    []record.Batch
		batch     record.Batch
		info      ProduceInfo
		duplicate int64 // base offset of the original, -1: none
		want      error
		says      string
	}{
		{"D1 newest of six batches resent: first offset again", six, six[5], ProduceInfo{}, 5, nil, ""},
		{"D2 fifth-newest resent: first offset again", six, six[1], ProduceInfo{}, 1, nil, ""},
		{"D3 sixth-newest resent", six, six[0], ProduceInfo{}, -1, kerr.OutOfOrderSequenceNumber, "sequence 0, want 6"},
		{"D4 gap", six, sent(0, 8, 1), ProduceInfo{}, -1, kerr.OutOfOrderSequenceNumber, "sequence 8, want 6"},
		{"D4 overlap", six, sent(0, 5, 2), ProduceInfo{}, -1, kerr.OutOfOrderSequenceNumber, "sequence 5, want 6"},
		{"next in order", six, sent(0, 6, 3), ProduceInfo{}, -1, nil, ""},
		{"D5 new epoch begins at 3", six, sent(1, 3, 1), ProduceInfo{}, -1, kerr.OutOfOrderSequenceNumber, "sequence 3, want 0"},
		{"D5 new epoch begins at 0", six, sent(1, 0, 1), ProduceInfo{}, -1, nil, ""},
		{"D6 zombie is fenced", []record.Batch{sent(3, 0, 1)}, sent(2, 1, 1), ProduceInfo{}, -1, kerr.InvalidProducerEpoch, "epoch 2, want 3"},
		{"D6 a zombie's resend is fenced too", []record.Batch{sent(2, 0, 1), sent(3, 0, 1)}, sent(2, 0, 1), ProduceInfo{}, -1, kerr.InvalidProducerEpoch, ""},
		{"D7 hard-05 unknown producer may begin anywhere", nil, sent(0, math.MaxInt32-1, 1), ProduceInfo{}, -1, nil, ""},
		{"D8 sequence wraps to 2^31-1", []record.Batch{sent(0, math.MaxInt32-1, 1)}, sent(0, math.MaxInt32, 1), ProduceInfo{}, -1, nil, ""},
		{"D8 sequence wraps to 0", []record.Batch{sent(0, math.MaxInt32, 1)}, sent(0, 0, 1), ProduceInfo{}, -1, nil, ""},
		{"D9 batch across the wrap is followed", []record.Batch{sent(0, math.MaxInt32-7, 10)}, sent(0, 2, 1), ProduceInfo{}, -1, nil, ""},
		{"D9 batch across the wrap resent", []record.Batch{sent(0, math.MaxInt32-7, 10)}, sent(0, math.MaxInt32-7, 10), ProduceInfo{}, 0, nil, ""},
		{"hard-05 unknown producer under TV2 begins at 0", nil, inTxn(0, 44), ProduceInfo{TV2: true}, -1, kerr.OutOfOrderSequenceNumber, "sequence 44, want 0"},
		{"hard-05 known producer without batches under TV2", []record.Batch{marker(1, 4, true, 1)}, inTxn(4, 2), ProduceInfo{TV2: true}, -1, kerr.OutOfOrderSequenceNumber, ""},
		{"hard-05 unknown producer under TV1", nil, inTxn(0, 44), ProduceInfo{}, -1, nil, ""},
		{"hard-05 above the lowest sequence that waits for verification", nil, inTxn(0, 4), ProduceInfo{Verifying: true, LowestSequence: 2}, -1, kerr.OutOfOrderSequenceNumber, ""},
		{"marker raised the epoch: sequences begin anew", []record.Batch{inTxn(0, 0), marker(1, 1, true, 1)}, inTxn(1, 0), ProduceInfo{TV2: true}, -1, nil, ""},
		{"marker of the same epoch keeps the sequence (TV1)", []record.Batch{inTxn(0, 0), marker(1, 0, true, 1)}, inTxn(0, 1), ProduceInfo{}, -1, nil, ""},
		{"batch outside the open transaction", []record.Batch{inTxn(0, 0)}, sent(0, 1, 1), ProduceInfo{}, -1, kerr.InvalidTxnState, "want one inside"},
		{"coordinator's batch has no sequence", []record.Batch{inTxn(0, 0)}, data(1, 0, -1, 1, 1, true), ProduceInfo{Coordinator: true}, -1, nil, ""},
		{"coordinator's batch of an old epoch", []record.Batch{inTxn(2, 0)}, data(1, 1, -1, 1, 1, true), ProduceInfo{Coordinator: true}, -1, kerr.InvalidProducerEpoch, ""},
		{"no producer, nothing to judge", six, plain(1, 1), ProduceInfo{}, -1, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := mustOpen(t, newDisk(), Config{})
			for _, b := range c.stored {
				put(t, l, append(record.Batch(nil), b...))
			}
			before := describeAll(l.state.producers)
			got, err := l.CheckBatch(c.batch, c.info)
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want %v saying %q", err, c.want, c.says)
			}
			if got.Duplicate != (c.duplicate >= 0) || got.Duplicate && got.BaseOffset != c.duplicate {
				t.Errorf("verdict %+v, want original at %d", got, c.duplicate)
			}
			if after := describeAll(l.state.producers); after != before {
				t.Errorf("check changed the state from %s to %s", before, after)
			}
		})
	}
}

func TestMarkerIsJudgedByPartitionState(t *testing.T) {
	open, closed := []record.Batch{data(1, 5, 0, 1, 1, true)}, []record.Batch{data(1, 5, 0, 1, 1, true), marker(1, 5, true, 7)}
	for _, c := range []struct {
		name   string
		stored []record.Batch
		m      Marker
		append bool
		want   error
	}{
		{"hard-12 TV2 newer epoch ends the transaction", open, Marker{Epoch: 6, TV2: true}, true, nil},
		{"hard-12 TV2 newer epoch with nothing open is written", closed, Marker{Epoch: 6, CoordinatorEpoch: 7, TV2: true}, true, nil},
		{"hard-12 TV2 repeat", closed, Marker{Epoch: 5, CoordinatorEpoch: 7, TV2: true}, false, nil},
		{"hard-12 TV2 late marker of n must not end n+1", open, Marker{Epoch: 5, TV2: true}, false, kerr.InvalidProducerEpoch},
		{"hard-12 TV2 at the last epoch is a repeat", []record.Batch{data(1, math.MaxInt16, 0, 1, 1, true)}, Marker{Epoch: math.MaxInt16, TV2: true}, false, nil},
		{"hard-12 older epoch", open, Marker{Epoch: 4, TV2: true}, false, kerr.InvalidProducerEpoch},
		{"hard-12 TV1 older epoch", open, Marker{Epoch: 4}, false, kerr.InvalidProducerEpoch},
		{"hard-12 TV1 ends the transaction of its epoch", open, Marker{Epoch: 5}, true, nil},
		{"hard-12 TV1 repeat", closed, Marker{Epoch: 5, CoordinatorEpoch: 7}, false, nil},
		{"hard-12 TV1 newer epoch", closed, Marker{Epoch: 6, CoordinatorEpoch: 7}, true, nil},
		{"hard-12 TV1 unknown producer", nil, Marker{Epoch: 0}, true, nil},
		{"hard-12 coordinator that lost its place", closed, Marker{Epoch: 9, CoordinatorEpoch: 6, TV2: true}, false, kerr.TransactionCoordinatorFenced},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := mustOpen(t, newDisk(), Config{})
			for _, b := range c.stored {
				put(t, l, append(record.Batch(nil), b...))
			}
			c.m.ProducerID = 1
			got, err := l.CheckMarker(c.m)
			if got != c.append || !errors.Is(err, c.want) {
				t.Errorf("append %v, %v; want %v, %v", got, err, c.append, c.want)
			}
		})
	}
}

func TestLastStableOffset(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{})
	put(t, l, data(1, 0, 0, 2, 1, true)) // 0, 1
	put(t, l, data(2, 0, 0, 2, 1, true)) // 2, 3
	put(t, l, marker(1, 0, true, 1))     // 4
	put(t, l, plain(3, 1))               // 5, 6, 7
	put(t, l, marker(2, 0, false, 1))    // 8
	for _, c := range []struct {
		name     string
		hw, want int64
	}{
		{"hard-15 everything committed", 9, 9},
		{"hard-15 marker stored, not committed: its transaction is still open", 8, 2},
		{"hard-15 high watermark between data and marker", 4, 0},
		{"hard-15 high watermark inside a transaction", 1, 0},
		{"hard-15 first marker committed, second not", 5, 2},
	} {
		if got := l.LastStableOffset(c.hw); got != c.want {
			t.Errorf("%s: at %d got %d, want %d", c.name, c.hw, got, c.want)
		}
	}
	if err := l.TruncateSuffix(l.LastIndex()); err != nil {
		t.Fatal(err)
	}
	if got := l.LastStableOffset(8); got != 2 {
		t.Errorf("hard-08 marker truncated: %d, want 2, as the transaction is open again", got)
	}
	if list, err := l.Aborted(0, 9, nil); err != nil || len(list) != 0 {
		t.Errorf("hard-15 marker truncated: aborted %v, %v", list, err)
	}
	if err := l.ApplyStart(6, 8, l.LastIndex()); err != nil {
		t.Fatal(err)
	}
	if got := l.LastStableOffset(8); got != 6 {
		t.Errorf("hard-15 DeleteRecords cut the open transaction: %d, want the log start 6", got)
	}
}

func TestAbortedIndex(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{})
	put(t, l, data(1, 0, 0, 2, 1, true)) // 0, 1
	put(t, l, data(2, 0, 0, 2, 1, true)) // 2, 3
	put(t, l, marker(2, 0, false, 1))    // 4
	put(t, l, marker(1, 0, false, 1))    // 5
	want := []AbortedTxn{{2, 2, 4, 0}, {1, 0, 5, 6}}
	got, err := l.Aborted(0, 6, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err = l.Aborted(5, 6, got[:0]); err != nil || len(got) != 1 || got[0] != want[1] {
		t.Errorf("from 5: %v, %v", got, err)
	}
}

func TestRoundSeesWhatItAccepted(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{})
	put(t, l, sent(0, 0, 2))
	round := l.Tentative()
	next := sent(0, 2, 3)
	if v, err := round.Check(next, ProduceInfo{}); err != nil || v.Duplicate {
		t.Fatalf("hard-01 next batch: %+v, %v", v, err)
	}
	base, err := round.Install(next)
	if err != nil || base != 2 {
		t.Fatalf("hard-01 base offset %d, %v; want 2", base, err)
	}
	if v, err := round.Check(sent(0, 5, 1), ProduceInfo{}); err != nil || v.Duplicate {
		t.Errorf("hard-01 the batch behind it, before it is stored: %+v, %v", v, err)
	}
	if v, err := round.Check(next, ProduceInfo{}); err != nil || !v.Duplicate || !v.Pending || v.BaseOffset != 2 || v.LastOffset != 4 {
		t.Errorf("hard-04 the same batch again: %+v, %v; want a pending duplicate at 2", v, err)
	}
	if v, err := round.Check(sent(0, 0, 2), ProduceInfo{}); err != nil || !v.Duplicate || v.Pending {
		t.Errorf("hard-04 a stored batch again: %+v, %v", v, err)
	}
	if _, err := l.CheckBatch(sent(0, 5, 1), ProduceInfo{}); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
		t.Errorf("hard-02 the round left something in the log's state: %v", err)
	}
}

func TestProducersExpire(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{ProducerExpiration: time.Hour})
	put(t, l, sent(0, 0, 1))
	put(t, l, data(2, 0, 0, 1, 1, true))
	if n := l.ExpireProducers(time.Now().Add(59 * time.Minute)); n != 0 {
		t.Errorf("hard-09 %d expired early: age counts from the append, not from record time", n)
	}
	if n := l.ExpireProducers(time.Now().Add(61 * time.Minute)); n != 1 {
		t.Errorf("hard-09 %d expired, want the one without open transaction", n)
	}
	if list := l.Producers(); len(list) != 1 || list[0].ProducerID != 2 || list[0].TxnFirstOffset != 1 {
		t.Errorf("left: %+v", list)
	}
}

func TestProducerSnapshotRoundTrip(t *testing.T) {
	p := newProducers()
	for i, b := range []record.Batch{
		data(1, 0, 0, 3, 1, true), data(2, 7, math.MaxInt32-1, 4, 1, true), marker(1, 0, false, 3), data(3, 1, 0, 1, 1, false),
		marker(2, 8, true, 4), data(1, 0, 3, 1, 1, true),
	} {
		row, err := batchRow(b)
		if err != nil {
			t.Fatal(err)
		}
		row.BaseOffset = int64(i * 10)
		p.apply(row, time.Time{})
	}
	b := p.encode()
	got, err := decodeProducers(b, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if describeAll(got) != describeAll(p) || !cmp.Equal(got.completed, p.completed, cmp.AllowUnexported(completedTxn{})) {
		t.Errorf("got %s %v, want %s %v", describeAll(got), got.completed, describeAll(p), p.completed)
	}
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 1
		if _, err := decodeProducers(bad, time.Time{}); err == nil {
			t.Errorf("flipped bit in byte %d goes unnoticed", i)
		}
	}
}

func TestLeaderEpochs(t *testing.T) {
	l := mustOpen(t, newDisk(), Config{})
	putKind(t, l, 2, KindNoop, nil)
	put(t, l, plain(5, 1)) // epoch 2: 0 to 4
	putKind(t, l, 4, KindNoop, nil)
	putKind(t, l, 7, KindNoop, nil)
	put(t, l, plain(5, 1)) // epoch 7: 5 to 9
	for _, c := range []struct {
		name  string
		asked int32
		epoch int32
		end   int64
	}{
		{"hard-30 epoch without records: itself and its start", 4, 4, 5},
		{"current epoch: log end", 7, 7, 10},
		{"closed epoch: start of the next", 2, 2, 5},
		{"epoch between: the one below", 5, 4, 5},
		{"epoch before all: its own number and the first start", 1, 1, 0},
		{"epoch of the future", 8, -1, -1},
	} {
		epoch, end := l.EpochEnd(c.asked)
		if epoch != c.epoch || end != c.end {
			t.Errorf("%s: %d ends at %d, want %d at %d", c.name, epoch, end, c.epoch, c.end)
		}
	}
	if got := []int32{l.EpochFor(4), l.EpochFor(5), l.LatestEpoch()}; !cmp.Equal(got, []int32{2, 7, 7}) {
		t.Errorf("epochs of 4, 5 and the log: %d", got)
	}
	if err := l.TruncateSuffix(4); err != nil { // leaves the noop of term 4
		t.Fatal(err)
	}
	if epoch, end := l.EpochEnd(4); epoch != 4 || end != 5 || l.LatestEpoch() != 4 {
		t.Errorf("hard-30 after truncation: %d ends at %d", epoch, end)
	}
	list, err := decodeEpochs(l.state.epochs.encode())
	if err != nil || !cmp.Equal(list, l.state.epochs) {
		t.Errorf("checkpoint: %v, %v", list, err)
	}
}
