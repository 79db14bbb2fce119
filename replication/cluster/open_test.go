package cluster

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/replication"
)

// TestNode runs the metadata over a real replica, twice on one disk.
func TestNode(t *testing.T) {
	t.Run("on disk", func(t *testing.T) { runNode(t, vfs.OS, t.TempDir()) })
	t.Run("in memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { runNode(t, vfs.NewMem(), "data") })
	})
}

func runNode(t *testing.T, fs vfs.FS, dir string) {
	run := func(fn func(m *Metadata)) {
		t.Helper()
		node, err := replication.Open(replication.Config{NodeID: 1, FS: fs, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { wantErr(t, node.Close(context.WithoutCancel(t.Context())), nil) }()
		m, err := Open(t.Context(), node, nil, fs, Config{NodeID: 1, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer stop(t, m)
		wantErr(t, m.WaitReady(t.Context()), nil)
		fn(m)
	}
	var want *Image
	run(func(m *Metadata) {
		if _, err := m.RegisterBroker(t.Context(), Broker{ID: 1}); err != nil {
			t.Fatal(err)
		}
		fill(t, m)
		want = m.Image()
	})
	run(func(m *Metadata) {
		if diff := cmp.Diff(want, settle(t, m), images); diff != "" {
			t.Errorf("image after restart (-want +got):\n%s", diff)
		}
		create(t, m, "later", 1)
	})
}

// Promise 19, hard-39: a power cut takes no grant of producer ids back, whatever
// the node's own fsync policy. A producer that got an id again would have its
// first batches taken for duplicates of the other's.
func TestPowerLossTakesNoGrantBack(t *testing.T) {
	disk := vfs.NewMem()
	granted := int64(-1)
	run := func(fn func(*testing.T, *Metadata)) {
		synctest.Test(t, func(t *testing.T) {
			node, err := replication.Open(replication.Config{NodeID: 1, FS: disk, Dir: "data"})
			if err != nil {
				t.Fatal(err)
			}
			m, err := Open(t.Context(), node, nil, disk, Config{NodeID: 1, Dir: "data"})
			if err != nil {
				t.Fatal(err)
			}
			wantErr(t, m.WaitReady(t.Context()), nil)
			fn(t, m)
			_ = m.Close() // perhaps of a dead machine
			_ = node.Close(context.WithoutCancel(t.Context()))
		})
	}
	for range 3 {
		run(func(t *testing.T, m *Metadata) {
			if _, err := m.RegisterBroker(t.Context(), Broker{ID: 1}); err != nil {
				t.Fatal(err)
			}
			first, n, err := m.AllocateProducerIDs(t.Context())
			if err != nil || first < granted {
				t.Errorf("got the block at %d, %v, ids below %d were granted before", first, err, granted)
			}
			granted = first + int64(n)
			disk.Crash(vfs.Lost, 1)
		})
	}
}
