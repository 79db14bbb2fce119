package replication

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
)

// inTxn is one record of producer 7 inside a transaction.
func inTxn(epoch int16, sequence int32) record.Batch {
	b := record.NewBuilder(record.BuilderOptions{ProducerID: 7, ProducerEpoch: epoch, BaseSequence: sequence, Transactional: true})
	b.Append(record.Record{Timestamp: 1, Value: []byte("value")})
	return b.Build()
}

func committing(epoch int16) log.Marker { return log.Marker{ProducerID: 7, Epoch: epoch, Commit: true} }

// hard-07: only a guard that was made before the coordinator was asked, and
// that no marker and no change of leadership has destroyed, opens a transaction.
func TestHard07GuardOpensATransaction(t *testing.T) {
	mark := func(epoch int16) func(*testing.T, *Partition) {
		return func(t *testing.T, p *Partition) {
			if err := p.AppendMarker(t.Context(), committing(epoch)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name      string
		guarded   bool
		meanwhile func(*testing.T, *Partition)
		want      error
	}{
		{"without a guard", false, nil, ErrGuardGone},
		{"with one", true, nil, nil},
		{"a marker comes between", true, mark(0), ErrGuardGone},
		{"a marker that was written before comes between", true, func(t *testing.T, p *Partition) { mark(0)(t, p); mark(0)(t, p) }, ErrGuardGone},
		{"another leadership comes between", true, func(t *testing.T, p *Partition) {
			epoch := p.Leadership().Epoch
			p.group.Load().transport.kick()
			synctest.Wait()
			if err := p.WaitReady(t.Context()); err != nil || p.Leadership().Epoch <= epoch {
				t.Fatalf("no other leadership: %+v, %v", p.Leadership(), err)
			}
		}, ErrGuardGone},
		{"the transaction is open here already", false, func(t *testing.T, p *Partition) {
			mustAppend(t, p, Append{Batch: inTxn(0, 0), Acks: -1, Guard: p.Guard(7)})
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := openNode(t, vfs.NewMem())
				defer closeNode(t, n)
				p := openOne(t, n, 0)
				var guard *Guard
				if c.guarded {
					guard = p.Guard(7)
				}
				if c.meanwhile != nil {
					c.meanwhile(t, p)
				}
				end, sequence := p.EndOffset(), int32(0)
				if _, _, open := p.Log().OpenTransaction(7); open {
					sequence = 1
				}
				_, err := p.Append(t.Context(), Append{Batch: inTxn(0, sequence), Acks: -1, Guard: guard})
				if !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				if c.want != nil && (!errors.Is(err, ErrRefused) || p.EndOffset() != end) {
					t.Errorf("a refused batch is stored: %v, log end %d, was %d", err, p.EndOffset(), end)
				}
			})
		})
	}
}

// hard-05: while a verification is pending, no batch overtakes the lowest one
// that waits for it.
func TestHard05NoBatchOvertakesAPendingVerification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, vfs.NewMem())
		defer closeNode(t, n)
		p := openOne(t, n, 0)
		mustAppend(t, p, Append{Batch: batchOf(7, 0, 0, 2), Acks: -1})
		guard := p.GuardFrom(7, 2)
		if p.GuardFrom(7, 3) != guard {
			t.Error("a second request got a guard of its own")
		}
		if _, err := p.Append(t.Context(), Append{Batch: inTxn(0, 3), Acks: -1, Guard: guard}); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
			t.Errorf("sequence 3 before 2: %v", err)
		}
		mustAppend(t, p, Append{Batch: inTxn(0, 2), Acks: -1, Guard: guard})
		mustAppend(t, p, Append{Batch: inTxn(0, 3), Acks: -1, Guard: guard})
	})
}

// hard-12, promise 11: a repeated marker appends nothing and succeeds; that of
// the next transaction, of the same producer, epoch and coordinator, is appended.
func TestHard12OneMarkerForATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, vfs.NewMem())
		defer closeNode(t, n)
		p := openOne(t, n, 0)
		for i := range int64(3) {
			mustAppend(t, p, Append{Batch: inTxn(0, int32(i)), Acks: -1, Guard: p.Guard(7)})
			if p.LastStableOffset() != 2*i {
				t.Errorf("transaction %d is open: last stable offset %d", i, p.LastStableOffset())
			}
			for range 3 {
				if err := p.AppendMarker(t.Context(), committing(0)); err != nil {
					t.Fatal(err)
				}
			}
			if want := 2*i + 2; p.EndOffset() != want || p.LastStableOffset() != want {
				t.Errorf("transaction %d: log end %d, last stable offset %d, want %d", i, p.EndOffset(), p.LastStableOffset(), want)
			}
		}
	})
}

// hard-14 and hard-15: a marker that is stored and not committed is not
// answered, not even to who asks again, and shows nothing.
func TestHard14MarkerCountsWhenCommitted(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		mustAppend(t, lead, Append{Batch: inTxn(0, 0), Acks: -1, Guard: lead.Guard(7)})
		c.isolate(1)
		for range 2 {
			if err := lead.AppendMarker(within(time.Second), committing(0)); !errors.Is(err, kerr.RequestTimedOut) {
				t.Errorf("marker without a majority: %v, want REQUEST_TIMED_OUT", err)
			}
		}
		if lead.EndOffset() != 2 || lead.HighWatermark() != 1 || lead.LastStableOffset() != 0 {
			t.Errorf("log end %d, high watermark %d, last stable offset %d, want 2, 1, 0", lead.EndOffset(), lead.HighWatermark(), lead.LastStableOffset())
		}
		c.heal()
		c.elect(1)
		if err := lead.AppendMarker(t.Context(), committing(0)); err != nil {
			t.Fatal(err)
		}
		if lead.EndOffset() != 2 || lead.LastStableOffset() != 2 {
			t.Errorf("log end %d, last stable offset %d, want 2", lead.EndOffset(), lead.LastStableOffset())
		}
	})
}

// Promise 25: after a failed fsync nothing is acked, the leadership ends, and
// what follows counts from what the disk has.
func TestFsyncErrorStopsAcks(t *testing.T) {
	for _, acks := range []int16{1, -1} {
		synctest.Test(t, func(t *testing.T) {
			disk := vfs.NewErr(vfs.NewMem())
			n, err := Open(Config{NodeID: 1, Dir: "data", FS: disk, Fsync: FsyncAlways})
			if err != nil {
				t.Fatal(err)
			}
			defer closeNode(t, n)
			p := openOne(t, n, 0)
			epoch := p.Leadership().Epoch
			mustAppend(t, p, Append{Batch: batchOf(7, 0, 0, 1), Acks: acks})
			disk.SetRules(vfs.Rule{Op: vfs.OpSync, Pattern: "*.log", Times: 1, Error: vfs.EIO})
			if _, err := p.Append(t.Context(), Append{Batch: batchOf(7, 0, 1, 1), Acks: acks}); !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("acks %d: append whose fsync failed: %v", acks, err)
			}
			if _, err := p.Append(t.Context(), Append{Batch: batchOf(7, 0, 1, 1), Acks: acks}); !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("acks %d: append after it, on a disk that syncs again: %v", acks, err)
			}
			time.Sleep(time.Minute)
			again := mustAppend(t, p, Append{Batch: batchOf(7, 0, 1, 1), Acks: acks})
			if again.BaseOffset != 1 || p.EndOffset() != 2 || p.Leadership().Epoch <= epoch {
				t.Errorf("acks %d: resent batch %+v, log end %d, epoch %d after %d", acks, again, p.EndOffset(), p.Leadership().Epoch, epoch)
			}
		})
	}
}
