package broker

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/memnet"
	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication"
)

// A folder that a crash left of a deleted topic is gone after the next start;
// what the metadata knows nothing of stays.
func TestLeftoversOfDeletedTopicsAreRemoved(t *testing.T) {
	files := vfs.NewMem()
	start := func() *Broker {
		t.Helper()
		network := memnet.New()
		b, err := Open(t.Context(), Config{Properties: map[string]string{"log.dirs": "d"}, FS: files, Listen: network.Listen, Dial: network.Dial})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	stop := func(b *Broker) {
		t.Helper()
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b := start()
	kept, gone := withTopic(t, b, "kept", 1).ID, withTopic(t, b, "gone", 1).ID
	if err := b.metadata.DeleteTopic(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	stop(b)
	folder := func(id [16]byte) string { return filepath.Join("d", replication.PartitionID{TopicID: id}.String()) }
	unknown := [16]byte{1, 2, 3}
	for _, id := range [][16]byte{gone, unknown} {
		if err := files.MkdirAll(folder(id), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	half := folder(kept) + ".removed" // by a removal that was cut short
	if err := files.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	stop(start())
	if _, err := files.Stat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", half, err)
	}
	for id, want := range map[[16]byte]bool{kept: true, gone: false, unknown: true} {
		_, err := files.Stat(folder(id))
		if there := !errors.Is(err, fs.ErrNotExist); there != want {
			t.Errorf("folder %s is there: %v, want %v", folder(id), there, want)
		}
	}
}

// A partition that cannot be opened is tried again until it can.
func TestPartitionIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewErr(vfs.NewMem())
		b, _ := openOn(t, disk, nil)
		disk.SetRules(vfs.Rule{Op: vfs.OpMkdir, Error: vfs.EIO})
		if err := b.EnsureTopic(t.Context(), "t", 1); err != nil {
			t.Fatal(err)
		}
		if b.Ready() {
			t.Error("ready with a partition that could not be opened")
		}
		disk.SetRules()
		time.Sleep(reopenAfter + time.Second)
		if got := put(t, b, "t", 0, batchOf(record.NoProducer(), "a"), nil); got.ErrorCode != 0 {
			t.Errorf("produce after the disk is back: error %d", got.ErrorCode)
		}
	})
}

// A slowRemoval takes its time with what was a partition's folder.
type slowRemoval struct{ vfs.FS }

func (d slowRemoval) RemoveAll(name string) error {
	if strings.HasSuffix(name, ".removed") {
		time.Sleep(time.Second)
	}
	return d.FS.RemoveAll(name)
}

// Removing the files of a deleted topic holds up neither the metadata nor the next
// topic; its partitions go together, and Close waits for them.
func TestRemovalHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := vfs.NewMem()
		network := memnet.New()
		b, err := Open(t.Context(), Config{Properties: map[string]string{"log.dirs": "d"}, FS: slowRemoval{files}, Listen: network.Listen, Dial: network.Dial})
		if err != nil {
			t.Fatal(err)
		}
		folders := func(id [16]byte) (left int) {
			entries, err := files.ReadDir("d")
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), hex.EncodeToString(id[:])) {
					left++
				}
			}
			return left
		}
		first, second := withTopic(t, b, "first", 40).ID, withTopic(t, b, "second", 5).ID
		if err := b.metadata.DeleteTopic(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		withTopic(t, b, "next", 1)
		if took := time.Since(began); took > 500*time.Millisecond || folders(first) == 0 {
			t.Errorf("the next topic took %v, with %d folders of the deleted one left; want it at once, beside them", took, folders(first))
		}
		time.Sleep(15 * time.Second)
		if left := folders(first); left != 0 {
			t.Errorf("%d of 40 folders are left after 15 s, which one by one would take 80", left)
		}
		if err := b.metadata.DeleteTopic(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		if err := b.topics.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := folders(second); left != 0 {
			t.Errorf("%d folders are left when the broker has closed", left)
		}
	})
}
