package log

import (
	"errors"
	"testing"

	"github.com/oncelog/oncelog/log/vfs"
)

// A flush that fails has taken over the sealed segments; the next one must not
// say that they are on the disk. Found by the append fuzz: a power cut after
// that lost synced batches.
func TestFailedFlushIsNotNotedByTheNext(t *testing.T) {
	disk := newDisk()
	faulty := vfs.NewErr(disk)
	l := mustOpen(t, faulty, Config{SegmentBytes: 500})
	put(t, l, plain(3, 100))
	faulty.SetRules(vfs.Rule{Op: vfs.OpSync, Pattern: "*.index", Error: vfs.EIO})
	put(t, l, plain(3, 100)) // rolls; the background flush, or the one below, fails
	first := l.flush(false)
	faulty.SetRules()
	if err := l.flush(true); err == nil || !errors.Is(err, ErrFailed) && first == nil {
		t.Errorf("flush after a failed one: %v (that said %v)", err, first)
	}
	disk.Crash(vfs.Lost, 1)
	again := mustOpen(t, disk, Config{})
	if _, err := again.Read(nil, 0, again.EndOffset(), 1<<20, true); err != nil {
		t.Errorf("read after a power cut: %v", err)
	}
}
