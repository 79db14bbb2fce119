package replication

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/vfs"
)

// hard-12, promise 11: a repeated marker appends nothing and succeeds; that of
// the next transaction, of the same producer, epoch and coordinator, is appended.
func TestHard12OneMarkerForATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, vfs.NewMem())
		defer closeNode(t, n)
		p := openOne(t, n, 0)
		for i := range int64(3) {
			mustAppend(t, p, Append{Batch: txnBatch(7, 0, int32(i)), Acks: -1, Guard: p.Guard(7)})
			if p.LastStableOffset() != 2*i {
				t.Errorf("transaction %d is open: last stable offset %d", i, p.LastStableOffset())
			}
			for range 3 {
				if err := p.AppendMarker(t.Context(), log.Marker{ProducerID: 7, Commit: true}); err != nil {
					t.Fatal(err)
				}
			}
			if want := 2*i + 2; p.EndOffset() != want || p.LastStableOffset() != want {
				t.Errorf("transaction %d: log end %d, last stable offset %d, want %d", i, p.EndOffset(), p.LastStableOffset(), want)
			}
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
