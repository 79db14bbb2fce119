package shard_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/shard"
)

// onReplica runs fn with a shard over a real replica on disk.
func onReplica(t *testing.T, disk vfs.FS, fn func(s *shard.Shard[*kv], p *replication.Partition)) {
	t.Helper()
	node, err := replication.Open(replication.Config{NodeID: 1, FS: disk, Dir: "data"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { wantErr(t, node.Close(context.WithoutCancel(t.Context())), nil) }()
	p, err := node.OpenPartition(t.Context(), replication.Spec{
		ID: replication.PartitionID{TopicID: [16]byte{1}}, Topic: "__consumer_offsets", Voters: []int32{1}, Log: log.Config{CleanupCompact: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := shard.Open(t.Context(), shard.OnReplica(p, 1, 0), func(epoch int32) *kv {
		return &kv{epoch: epoch, values: map[string]string{}}
	}, shard.Options[*kv]{})
	defer s.Close()
	fn(s, p)
}

func TestReplica(t *testing.T) {
	bubble(t, "view survives restarts", func(t *testing.T) {
		disk := vfs.NewMem()
		for round := range 3 {
			onReplica(t, disk, func(s *shard.Shard[*kv], p *replication.Partition) {
				r := &rig{Shard: s}
				want := map[string]string{}
				for n := range round {
					want[fmt.Sprint(n)] = "x"
				}
				wantValues(t, r, want)
				_, err := r.set(t.Context(), fmt.Sprint(round), "x")
				wantErr(t, err, nil)
			})
		}
	})
	bubble(t, "guarded offsets and their marker arrive in order", func(t *testing.T) {
		onReplica(t, vfs.NewMem(), func(s *shard.Shard[*kv], p *replication.Partition) {
			r := &rig{Shard: s}
			wantErr(t, s.WaitReady(t.Context()), nil)
			transactional := func(guard shard.Guard) error {
				_, err := s.Update(t.Context(), "g", func(*kv, int32) (shard.Write, error) {
					return shard.Write{
						Records: []record.Record{pair("g", "1")}, Transactional: true, ProducerID: 5, ProducerEpoch: 0, Guard: guard,
					}, nil
				})
				return err
			}
			wantErr(t, transactional(nil), replication.ErrGuardGone)
			wantErr(t, transactional(s.Guard(5)), nil)
			wantErr(t, p.AppendMarker(t.Context(), log.Marker{ProducerID: 5, Epoch: 0, Commit: true}), nil)
			wantErr(t, r.View(t.Context(), func(v *kv) {
				if v.markers != 1 || v.values["g"] != "1" {
					t.Errorf("got %d markers, value %q", v.markers, v.values["g"])
				}
			}), nil)
		})
	})
	bubble(t, "hard-18 disk error ends the term, the next one replays", func(t *testing.T) {
		disk := vfs.NewErr(vfs.NewMem())
		onReplica(t, disk, func(s *shard.Shard[*kv], p *replication.Partition) {
			r := &rig{Shard: s}
			_, err := r.set(t.Context(), "a", "1")
			wantErr(t, err, nil)
			before := s.Epoch()
			disk.SetRules(vfs.Rule{Op: vfs.OpWrite, Pattern: "*.log", Error: vfs.EIO})
			_, err = r.set(t.Context(), "a", "2")
			wantErr(t, err, kerr.NotCoordinator)
			disk.SetRules()
			time.Sleep(time.Minute)
			synctest.Wait()
			_, err = r.set(t.Context(), "b", "1")
			wantErr(t, err, nil)
			wantValues(t, r, map[string]string{"a": "1", "b": "1"})
			if s.Epoch() <= before {
				t.Errorf("epoch went from %d to %d", before, s.Epoch())
			}
		})
	})
}
