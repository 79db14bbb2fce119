package replication

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/vfs"
)

// Promise 26: with a full disk appends get KAFKA_STORAGE_ERROR,
// reads go on, and with room again the partition comes back with all it had.
func TestFullDiskStopsAppendsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewErr(vfs.NewMem())
		n := openNode(t, disk)
		defer closeNode(t, n)
		p := openOne(t, n, 0)
		mustAppend(t, p, Append{Batch: plainBatch(2), Acks: -1})
		disk.SetRules(vfs.Rule{Op: vfs.OpWrite, Pattern: "*.log", Error: vfs.ENOSPC})
		_, err := p.Append(t.Context(), Append{Batch: plainBatch(1), Acks: -1})
		if !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("append to a full disk: %v", err)
		}
		synctest.Wait()
		if _, err := p.Append(t.Context(), Append{Batch: plainBatch(1), Acks: 1}); !errors.Is(err, kerr.KafkaStorageError) || !errors.Is(err, ErrRefused) {
			t.Errorf("append while offline: %v", err)
		}
		if bytes, err := p.Log().Read(nil, 0, p.HighWatermark(), 1<<20, true); err != nil || len(bytes) == 0 || p.HighWatermark() != 2 {
			t.Errorf("read while offline: %d bytes below %d, %v", len(bytes), p.HighWatermark(), err)
		}
		disk.SetRules()
		time.Sleep(time.Minute)
		got := mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1})
		if got.BaseOffset != 2 {
			t.Errorf("first append after the disk came back is at %d, want 2", got.BaseOffset)
		}
	})
}

// A term or vote that cannot be stored is never acted on, and raft's panic on
// it is not reached.
func TestSlotErrorTakesThePartitionOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewErr(vfs.NewMem())
		n := openNode(t, disk)
		defer closeNode(t, n)
		p := openOne(t, n, 0)
		epoch := p.Leadership().Epoch
		disk.SetRules(vfs.Rule{Op: vfs.OpSync, Pattern: slotFileName, Error: vfs.EIO})
		p.group.Load().transport.kick()
		time.Sleep(10 * time.Second)
		if _, err := p.Append(t.Context(), Append{Batch: plainBatch(1), Acks: 1}); !errors.Is(err, kerr.KafkaStorageError) && !errors.Is(err, kerr.NotLeaderForPartition) {
			t.Errorf("append without a stored vote: %v", err)
		}
		disk.SetRules()
		time.Sleep(time.Minute)
		mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1})
		if p.Leadership().Epoch <= epoch {
			t.Errorf("epoch %d after %d", p.Leadership().Epoch, epoch)
		}
	})
}

// Promise 3 with fsync=always: what was acked is there after a power cut at
// any change of the disk, whatever became of the rest.
func TestFsyncAlwaysSurvivesPowerLoss(t *testing.T) {
	for _, mode := range []vfs.CrashMode{vfs.Lost, vfs.Partly, vfs.Torn} {
		for at := range 60 {
			acked := int64(-1)
			disk := vfs.NewMem()
			synctest.Test(t, func(t *testing.T) {
				n, err := Open(Config{NodeID: 1, Dir: "data", FS: disk, Fsync: FsyncAlways})
				if err != nil {
					t.Fatal(err)
				}
				p := openOne(t, n, 0)
				disk.CrashAfter(at, uint64(at))
				for range 12 {
					got, err := p.Append(t.Context(), Append{Batch: plainBatch(1), Acks: 1})
					if err != nil {
						break
					}
					acked = got.BaseOffset
				}
				if err := n.Close(t.Context()); err == nil && acked < 11 {
					t.Error("the disk crashed and Close says nothing")
				}
			})
			disk.Crash(mode, uint64(at))
			synctest.Test(t, func(t *testing.T) {
				n := openNode(t, disk)
				defer closeNode(t, n)
				if p := openOne(t, n, 0); p.HighWatermark() <= acked {
					t.Errorf("mode %d, crash after %d changes: high watermark %d, but offset %d was acked", mode, at, p.HighWatermark(), acked)
				}
			})
		}
	}
}

// cutPower loses what n has not synced, and wants so much of partition 0 back.
func cutPower(t *testing.T, disk *vfs.Mem, n *Node, highWatermark int64) {
	t.Helper()
	disk.Crash(vfs.Lost, 1)
	if err := n.Close(t.Context()); err == nil {
		t.Error("the machine restarted and Close says nothing")
	}
	n = openNode(t, disk)
	defer closeNode(t, n)
	if got := openOne(t, n, 0).HighWatermark(); got != highWatermark {
		t.Errorf("high watermark %d after a power cut, want %d", got, highWatermark)
	}
}

func TestFsyncIntervalSyncsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		n, err := Open(Config{NodeID: 1, Dir: "data", FS: disk, Fsync: FsyncInterval, FsyncInterval: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		p := openOne(t, n, 0)
		mustAppend(t, p, Append{Batch: plainBatch(4), Acks: -1})
		time.Sleep(1100 * time.Millisecond)
		cutPower(t, disk, n, 4)
	})
}

// slowClean is a disk on which every compaction takes an hour.
type slowClean struct{ vfs.FS }

func (d slowClean) MkdirAll(name string, perm fs.FileMode) error {
	if strings.HasPrefix(filepath.Base(name), "clean-") {
		time.Sleep(time.Hour)
	}
	return d.FS.MkdirAll(name, perm)
}

// No compaction, however long, holds up the syncs that bound what is lost.
func TestFsyncIntervalBesideACompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		n, err := Open(Config{NodeID: 1, Dir: "data", FS: slowClean{disk}, Fsync: FsyncInterval, FsyncInterval: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		p := openOne(t, n, 0)
		p.SetConfig(log.Config{CleanupCompact: true, SegmentBytes: 100, MinCleanableRatio: -1})
		for range 3 {
			mustAppend(t, p, Append{Batch: plainBatch(4), Acks: -1})
		}
		time.Sleep(time.Minute) // the compaction is under way
		mustAppend(t, p, Append{Batch: plainBatch(4), Acks: -1})
		time.Sleep(1100 * time.Millisecond)
		cutPower(t, disk, n, 16)
	})
}

// flush.messages and flush.ms bound what a power cut may take.
func TestTopicFlushSettings(t *testing.T) {
	for name, configs := range map[string][]log.Config{
		"flush.messages=4":            {{FlushMessages: 4}},
		"flush.ms=1000":               {{FlushInterval: time.Second}},
		"flush.ms=1000 after an hour": {{FlushInterval: time.Hour}, {FlushInterval: time.Second}},
		"flush.ms=1000 after none":    {{FlushInterval: time.Hour}, {}, {FlushInterval: time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := vfs.NewMem()
				n := openNode(t, disk)
				p := openOne(t, n, 0)
				for _, c := range configs {
					p.SetConfig(c)
					synctest.Wait()
				}
				for range 4 {
					mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1})
				}
				time.Sleep(1100 * time.Millisecond)
				mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1})
				cutPower(t, disk, n, 4)
			})
		})
	}
}

// Settings that change while a partition comes back from a disk error count.
func TestSettingsOfAReturningPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, vfs.NewMem())
		defer closeNode(t, n)
		p := openOne(t, n, 0)
		g := p.group.Load()
		p.order.leave(g, errOffline, true)
		if err := errors.Join(g.stop(), g.closeLog()); err != nil {
			t.Fatal(err)
		}
		next, err := p.openGroup()
		if err != nil {
			t.Fatal(err)
		}
		p.SetConfig(log.Config{SegmentBytes: 12345})
		p.adopt(next)
		if got := p.Log().Config().SegmentBytes; got != 12345 {
			t.Errorf("segment.bytes %d, want 12345", got)
		}
	})
}

func TestDeletedPartitionLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		n := openNode(t, disk)
		defer closeNode(t, n)
		p := openOne(t, n, 0)
		other := openOne(t, n, 1)
		mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1})
		if err := n.DeletePartition(t.Context(), p.ID()); err != nil {
			t.Fatal(err)
		}
		if _, err := disk.Stat(n.folder(p.ID())); err == nil {
			t.Error("the folder is still there")
		}
		if n.Partition(p.ID()) != nil || n.Partition(other.ID()) != other {
			t.Error("the wrong partition is gone")
		}
		if _, err := p.Append(t.Context(), Append{Batch: plainBatch(1)}); !errors.Is(err, kerr.NotLeaderForPartition) {
			t.Errorf("append to a deleted partition: %v", err)
		}
		mustAppend(t, other, Append{Batch: plainBatch(1), Acks: -1})
	})
}

// Retention is agreed, and the leader proposes it (hard-33).
func TestHard33RetentionRaisesTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, vfs.NewMem())
		defer closeNode(t, n)
		p := openOne(t, n, 0)
		p.SetConfig(log.Config{SegmentBytes: 1 << 10, RetentionBytes: 4 << 10})
		for range 100 {
			mustAppend(t, p, Append{Batch: plainBatch(10), Acks: -1})
		}
		before := p.Log().Boundary().Index
		time.Sleep(6 * time.Minute)
		if p.StartOffset() == 0 || p.Log().Boundary().Index <= before {
			t.Errorf("start %d, boundary %d after the retention check", p.StartOffset(), p.Log().Boundary().Index)
		}
		if p.HighWatermark() != 1000 || p.LastStableOffset() != 1000 {
			t.Errorf("hw %d lso %d, want 1000", p.HighWatermark(), p.LastStableOffset())
		}
	})
}

// A restart above a moved boundary finds its log again.
func TestRestartAboveTheBoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		n := openNode(t, disk)
		p := openOne(t, n, 0)
		p.SetConfig(log.Config{SegmentBytes: 1 << 10})
		for range 100 {
			mustAppend(t, p, Append{Batch: batchOf(4, 0, int32(p.EndOffset()), 10), Acks: -1})
		}
		if low, err := p.DeleteRecords(t.Context(), -1); err != nil || low != 1000 {
			t.Fatalf("delete records: %d, %v", low, err)
		}
		if p.Log().Boundary().Index == 0 {
			t.Fatal("the boundary did not move")
		}
		closeNode(t, n)
		n = openNode(t, disk)
		defer closeNode(t, n)
		p = openOne(t, n, 0)
		if p.StartOffset() != 1000 || p.HighWatermark() != 1000 {
			t.Errorf("start %d, high watermark %d after restart, want 1000", p.StartOffset(), p.HighWatermark())
		}
		got := mustAppend(t, p, Append{Batch: batchOf(4, 0, 1000, 10), Acks: -1})
		if got.BaseOffset != 1000 {
			t.Errorf("next batch of the producer: %+v", got)
		}
	})
}

// The log start is only ever raised to what is committed, so a replica that starts
// knows that much before any leader tells it; its boundary may lie further back.
func TestReopenedReplicaIsCommittedUpToItsStart(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster, lead *Partition) {
		for range 3 {
			mustAppend(t, lead, Append{Batch: plainBatch(4), Acks: -1})
		}
		if low, err := lead.DeleteRecords(t.Context(), 6); err != nil || low != 6 {
			t.Fatalf("delete records: %d, %v", low, err)
		}
		for _, id := range c.members {
			c.stop(id)
		}
		if err := c.start(1); err != nil {
			t.Fatal(err)
		}
		p := c.partition(1)
		if p.StartOffset() != 6 || p.HighWatermark() != 6 || p.LastStableOffset() != 6 {
			t.Errorf("start %d, last stable offset %d, high watermark %d, want 6", p.StartOffset(), p.LastStableOffset(), p.HighWatermark())
		}
	})
}

// A leader costs four goroutines (see group), and none is left after Close.
func TestGoroutinesPerGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, vfs.NewMem())
		synctest.Wait()
		before := runtime.NumGoroutine()
		const groups = 50
		for i := range int32(groups) {
			openOne(t, n, i)
		}
		synctest.Wait()
		if got := runtime.NumGoroutine() - before; got > 4*groups {
			t.Errorf("%d goroutines for %d groups, want 4 each", got, groups)
		}
		closeNode(t, n)
		synctest.Wait()
		if got := runtime.NumGoroutine(); got > before {
			t.Errorf("%d goroutines after Close, %d before", got, before)
		}
	})
}

// A week of an idle node is cheap: little ticks.
func TestIdleWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := openNode(t, vfs.NewMem())
		defer closeNode(t, n)
		p := openOne(t, n, 0)
		mustAppend(t, p, Append{Batch: plainBatch(1), Acks: -1})
		time.Sleep(7 * 24 * time.Hour)
		if !p.Leadership().Ready {
			t.Errorf("after a week: %+v", p.Leadership())
		}
	})
}
