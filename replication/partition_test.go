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

// batchOf builds a batch of n small records.
func batchOf(producerID int64, epoch int16, sequence int32, n int) record.Batch {
	b := record.NewBuilder(record.BuilderOptions{ProducerID: producerID, ProducerEpoch: epoch, BaseSequence: sequence})
	for i := range n {
		b.Append(record.Record{Offset: int64(i), Timestamp: 1, Value: []byte("value")})
	}
	return b.Build()
}

func plainBatch(n int) record.Batch { return batchOf(-1, -1, -1, n) }

func openNode(t *testing.T, fs vfs.FS) *Node {
	t.Helper()
	n, err := Open(Config{NodeID: 1, Dir: "data", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func openOne(t *testing.T, n *Node, partition int32) *Partition {
	t.Helper()
	p, err := n.OpenPartition(t.Context(), Spec{ID: PartitionID{TopicID: [16]byte{7}, Partition: partition}, Topic: "orders", Voters: []int32{1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func closeNode(t *testing.T, n *Node) {
	t.Helper()
	if err := n.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestOneNodeAppendReadRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		n := openNode(t, fs)
		p := openOne(t, n, 0)
		for i, acks := range []int16{0, 1, -1} {
			got, err := p.Append(t.Context(), Append{Batch: plainBatch(2), Acks: acks})
			if err != nil || got.BaseOffset != int64(2*i) || got.LogAppendTime != -1 {
				t.Fatalf("append %d: %+v, %v", i, got, err)
			}
		}
		if p.HighWatermark() != 6 || p.LastStableOffset() != 6 || p.EndOffset() != 6 {
			t.Fatalf("hw %d lso %d end %d, want 6", p.HighWatermark(), p.LastStableOffset(), p.EndOffset())
		}
		epoch := p.Leadership().Epoch
		closeNode(t, n)

		n = openNode(t, fs)
		p = openOne(t, n, 0)
		if l := p.Leadership(); l.Leader != 1 || l.Epoch <= epoch {
			t.Errorf("leadership %+v after epoch %d", l, epoch)
		}
		if p.HighWatermark() != 6 {
			t.Errorf("hw %d after restart, want 6", p.HighWatermark())
		}
		bytes, err := p.Log().Read(nil, 2, 6, 1<<20, true)
		if err != nil {
			t.Fatal(err)
		}
		first, err := record.Peek(bytes)
		if err != nil || first.BaseOffset() != 2 || first.LeaderEpoch() != epoch {
			t.Errorf("read %v %v", first, err)
		}
		closeNode(t, n)
	})
}

func TestIdempotentProducer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, vfs.NewMem())
		defer closeNode(t, n)
		p := openOne(t, n, 0)
		send := func(sequence int32) (Appended, error) {
			return p.Append(t.Context(), Append{Batch: batchOf(5, 0, sequence, 3), Acks: -1})
		}
		for s := int32(0); s < 9; s += 3 {
			if _, err := send(s); err != nil {
				t.Fatal(err)
			}
		}
		again, err := send(3)
		if err != nil || !again.Duplicate || again.BaseOffset != 3 {
			t.Errorf("resent batch: %+v, %v", again, err)
		}
		_, err = send(30)
		if !errors.Is(err, kerr.OutOfOrderSequenceNumber) || !errors.Is(err, ErrRefused) {
			t.Errorf("gap: %v", err)
		}
	})
}

func TestDeleteRecordsRaisesTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		n := openNode(t, fs)
		p := openOne(t, n, 0)
		for range 4 {
			if _, err := p.Append(t.Context(), Append{Batch: plainBatch(1), Acks: -1}); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct{ offset, want int64 }{{2, 2}, {1, 2}, {-1, 4}} {
			if got, err := p.DeleteRecords(t.Context(), c.offset); err != nil || got != c.want {
				t.Errorf("delete before %d: %d, %v, want %d", c.offset, got, err, c.want)
			}
		}
		if _, err := p.DeleteRecords(t.Context(), 5); !errors.Is(err, kerr.OffsetOutOfRange) {
			t.Errorf("above the high watermark: %v", err)
		}
		p.SetConfig(log.Config{CleanupCompact: true})
		if _, err := p.DeleteRecords(t.Context(), -1); !errors.Is(err, kerr.PolicyViolation) {
			t.Errorf("policy without delete: %v", err)
		}
		closeNode(t, n)
	})
}
