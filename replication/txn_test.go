package replication

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

func txnBatch(producerID int64, epoch int16, sequence int32) record.Batch {
	b := record.NewBuilder(record.BuilderOptions{ProducerID: producerID, ProducerEpoch: epoch, BaseSequence: sequence, Transactional: true})
	b.Append(record.Record{Timestamp: 1, Value: []byte("value")})
	return b.Build()
}

// onOne runs a test in a bubble on one node with one partition.
func onOne(t *testing.T, test func(t *testing.T, p *Partition)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, vfs.NewMem())
		defer closeNode(t, n)
		test(t, openOne(t, n, 0))
	})
}

func mark(t *testing.T, p *Partition, m log.Marker) {
	t.Helper()
	if err := p.AppendMarker(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestTransactionHoldsTheLastStableOffset(t *testing.T) {
	onOne(t, func(t *testing.T, p *Partition) {
		mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1})
		mustAppend(t, p, Append{Batch: txnBatch(1, 0, 0), Acks: -1, Guard: p.Guard(1)})
		mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1})
		if p.HighWatermark() != 3 || p.LastStableOffset() != 1 {
			t.Errorf("open: hw %d lso %d, want 3 and 1", p.HighWatermark(), p.LastStableOffset())
		}
		moved := p.Moved()
		mark(t, p, log.Marker{ProducerID: 1, Commit: true})
		if p.HighWatermark() != 4 || p.LastStableOffset() != 4 {
			t.Errorf("committed: hw %d lso %d, want 4", p.HighWatermark(), p.LastStableOffset())
		}
		select {
		case <-moved:
		default:
			t.Error("nobody was woken")
		}
	})
}

// hard-07: a batch that opens a transaction needs a guard that no marker and
// no change of leadership has destroyed since it was made.
func TestHard07Guards(t *testing.T) {
	open := func(p *Partition, sequence int32, g *Guard) error {
		_, err := p.Append(context.Background(), Append{Batch: txnBatch(1, 0, sequence), Acks: -1, Guard: g})
		return err
	}
	t.Run("without a guard no transaction opens", func(t *testing.T) {
		onOne(t, func(t *testing.T, p *Partition) {
			if err := open(p, 0, nil); !errors.Is(err, ErrGuardGone) || !errors.Is(err, kerr.InvalidTxnState) || p.EndOffset() != 0 {
				t.Errorf("%v, log end %d", err, p.EndOffset())
			}
		})
	})
	t.Run("an open transaction needs no guard", func(t *testing.T) {
		onOne(t, func(t *testing.T, p *Partition) {
			if err := errors.Join(open(p, 0, p.Guard(1)), open(p, 1, nil)); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("the guard of another producer does not help", func(t *testing.T) {
		onOne(t, func(t *testing.T, p *Partition) {
			if err := open(p, 0, p.Guard(2)); !errors.Is(err, ErrGuardGone) {
				t.Error(err)
			}
		})
	})
	t.Run("a marker destroys it", func(t *testing.T) {
		onOne(t, func(t *testing.T, p *Partition) {
			g := p.Guard(1)
			mark(t, p, log.Marker{ProducerID: 1, Commit: false})
			if err := open(p, 0, g); !errors.Is(err, ErrGuardGone) {
				t.Errorf("after the marker: %v", err)
			}
			if p.LastStableOffset() != p.HighWatermark() {
				t.Error("the late batch opened a hanging transaction")
			}
		})
	})
	t.Run("a change of leadership destroys it", func(t *testing.T) {
		onOne(t, func(t *testing.T, p *Partition) {
			g := p.Guard(1)
			p.group.Load().transport.kick()
			synctest.Wait()
			if err := p.WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := open(p, 0, g); !errors.Is(err, ErrGuardGone) {
				t.Error(err)
			}
		})
	})
	t.Run("it is used up by the batch that opens the transaction", func(t *testing.T) {
		onOne(t, func(t *testing.T, p *Partition) {
			g := p.Guard(1)
			if err := open(p, 0, g); err != nil {
				t.Fatal(err)
			}
			mark(t, p, log.Marker{ProducerID: 1, Commit: true})
			if err := open(p, 1, g); !errors.Is(err, ErrGuardGone) {
				t.Errorf("the next transaction of the same epoch: %v", err)
			}
		})
	})
	t.Run("a duplicate needs none", func(t *testing.T) {
		onOne(t, func(t *testing.T, p *Partition) {
			if err := open(p, 0, p.Guard(1)); err != nil {
				t.Fatal(err)
			}
			mark(t, p, log.Marker{ProducerID: 1, Commit: true})
			if err := open(p, 0, nil); err != nil {
				t.Errorf("a batch sent again after its transaction ended: %v", err)
			}
		})
	})
}

// hard-05: while a verification is pending, no batch but the first may open
// the transaction.
func TestHard05LowestSequenceOpens(t *testing.T) {
	onOne(t, func(t *testing.T, p *Partition) {
		first, second := p.GuardFrom(1, 0, 0), p.GuardFrom(1, 0, 1)
		if first != second {
			t.Error("two guards for one producer")
		}
		_, err := p.Append(t.Context(), Append{Batch: txnBatch(1, 0, 1), Acks: -1, Guard: second})
		if !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
			t.Errorf("the second batch first: %v", err)
		}
		mustAppend(t, p, Append{Batch: txnBatch(1, 0, 0), Acks: -1, Guard: first})
		mustAppend(t, p, Append{Batch: txnBatch(1, 0, 1), Acks: -1, Guard: second})
	})
}

// A late copy of an ended transaction asks in vain; it must not bar the batch
// that opens the next one.
func TestHard05AWithdrawnBatchBarsNobody(t *testing.T) {
	onOne(t, func(t *testing.T, p *Partition) {
		late, next := p.GuardFrom(1, 0, 0), p.GuardFrom(1, 0, 5)
		p.Withdraw(1, late, 0, 0)
		mustAppend(t, p, Append{Batch: txnBatch(1, 0, 5), Acks: -1, Guard: next})
		only := p.GuardFrom(2, 0, 3)
		p.Withdraw(2, only, 0, 3)
		if again := p.GuardFrom(2, 0, 3); again == only {
			t.Error("a guard stands that nobody asks for")
		}
	})
}

// A fenced producer that asks with a low sequence of its old epoch does not bar its
// successor, whichever of the two was first.
func TestHard05AFencedProducerBarsNobody(t *testing.T) {
	onOne(t, func(t *testing.T, p *Partition) {
		mustAppend(t, p, Append{Batch: txnBatch(1, 1, 0), Acks: -1, Guard: p.GuardFrom(1, 1, 0)})
		if err := p.AppendMarker(t.Context(), log.Marker{ProducerID: 1, Epoch: 1, Commit: true}); err != nil {
			t.Fatal(err)
		}
		zombie := p.GuardFrom(1, 0, 0)
		mustAppend(t, p, Append{Batch: txnBatch(1, 1, 1), Acks: -1, Guard: p.GuardFrom(1, 1, 1)})
		p.Withdraw(1, zombie, 0, 0)
	})
}

// While a transaction is open, a late copy of an earlier one changes nothing
// for it, and is told that its epoch is old.
func TestHard05LateCopyBesideAnOpenTransaction(t *testing.T) {
	onOne(t, func(t *testing.T, p *Partition) {
		mustAppend(t, p, Append{Batch: txnBatch(1, 1, 0), Acks: -1, Guard: p.GuardFrom(1, 1, 0)})
		late := p.GuardFrom(1, 0, 0)
		_, err := p.Append(t.Context(), Append{Batch: txnBatch(1, 0, 0), Acks: -1, Guard: late})
		if !errors.Is(err, kerr.InvalidProducerEpoch) {
			t.Errorf("late copy: %v, want INVALID_PRODUCER_EPOCH", err)
		}
		_, err = p.Append(t.Context(), Append{Batch: txnBatch(1, 0, 0), Acks: -1})
		if !errors.Is(err, kerr.InvalidProducerEpoch) {
			t.Errorf("late copy without a guard: %v, want INVALID_PRODUCER_EPOCH", err)
		}
		mustAppend(t, p, Append{Batch: txnBatch(1, 1, 1), Acks: -1})
	})
}

// hard-12: the partition's state judges a marker, and a repeat appends nothing.
func TestHard12RepeatedMarkerAppendsNothing(t *testing.T) {
	onOne(t, func(t *testing.T, p *Partition) {
		mustAppend(t, p, Append{Batch: txnBatch(1, 0, 0), Acks: -1, Guard: p.Guard(1)})
		m := log.Marker{ProducerID: 1, Epoch: 1, CoordinatorEpoch: 5, Commit: true, TV2: true}
		results := make(chan error)
		for range 4 {
			go func() { results <- p.AppendMarker(t.Context(), m) }()
		}
		for range 4 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if p.EndOffset() != 2 || p.LastStableOffset() != 2 {
			t.Errorf("log end %d, lso %d, want one marker", p.EndOffset(), p.LastStableOffset())
		}
		for _, c := range []struct {
			name string
			m    log.Marker
			want error
		}{
			{"older coordinator", log.Marker{ProducerID: 1, Epoch: 2, CoordinatorEpoch: 4, TV2: true}, kerr.TransactionCoordinatorFenced},
			{"older epoch", log.Marker{ProducerID: 1, Epoch: 0, CoordinatorEpoch: 5, TV2: true}, kerr.InvalidProducerEpoch},
		} {
			if err := p.AppendMarker(t.Context(), c.m); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	})
}

// hard-14: a marker counts once it is committed, and is answered then.
func TestHard14MarkerIsAnsweredAfterItsCommit(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		mustAppend(t, lead, Append{Batch: txnBatch(1, 0, 0), Acks: -1, Guard: lead.Guard(1)})
		c.isolate(1)
		m := log.Marker{ProducerID: 1, Commit: true}
		for _, attempt := range []string{"first", "repeat"} {
			if err := lead.AppendMarker(within(1e9), m); !errors.Is(err, kerr.RequestTimedOut) {
				t.Errorf("%s without followers: %v, want REQUEST_TIMED_OUT", attempt, err)
			}
		}
		if lead.EndOffset() != 2 || lead.LastStableOffset() != 0 {
			t.Errorf("log end %d lso %d, want 2 and 0 (hard-15)", lead.EndOffset(), lead.LastStableOffset())
		}
		c.heal()
		mark(t, lead, m)
		if lead.EndOffset() != 2 || lead.LastStableOffset() != 2 {
			t.Errorf("log end %d lso %d, want 2", lead.EndOffset(), lead.LastStableOffset())
		}
	})
}
