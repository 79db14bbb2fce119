package shard_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

func TestDoubt(t *testing.T) {
	tests := []struct {
		name  string
		fault shardtest.Fault
		want  map[string]string
	}{
		{"hard-18 lost append replays to the older value", shardtest.Lost, map[string]string{"a": "0"}},
		{"hard-18 stored append replays to the newer value", shardtest.Stored, map[string]string{"a": "1"}},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			r := open(t, shard.Options[*kv]{})
			_, err := r.set(t.Context(), "a", "0")
			wantErr(t, err, nil)
			release := r.Hold()
			r.Fail(tt.fault)
			first := async(func() error { _, err := r.set(t.Context(), "a", "1"); return err })
			synctest.Wait()
			waiting := async(func() error { _, err := r.set(t.Context(), "a", "2"); return err })
			synctest.Wait()
			release()
			wantErr(t, <-first, kerr.NotCoordinator)
			wantErr(t, <-waiting, kerr.NotCoordinator)
			synctest.Wait()
			wantValues(t, r, tt.want)
			if diff := cmp.Diff([]string{"load 1 0", "unload 1", "load 1 1"}, r.events); diff != "" {
				t.Error(diff)
			}
		})
	}
	bubble(t, "hard-18 replay waits for every append of the older view", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		one := r.Hold()
		first := async(func() error { _, err := r.set(t.Context(), "a", "1"); return err })
		synctest.Wait()
		two := r.Hold()
		second := async(func() error { _, err := r.set(t.Context(), "b", "1"); return err })
		synctest.Wait()
		r.Fail(shardtest.Stored)
		one()
		wantErr(t, <-first, kerr.NotCoordinator)
		time.Sleep(time.Second)
		if r.Ready() {
			t.Error("serves while an append of the older view is under way")
		}
		two()
		wantErr(t, <-second, kerr.NotCoordinator)
		wantValues(t, r, map[string]string{"a": "1", "b": "1"})
	})
	bubble(t, "hard-18 record decided in an older epoch is not appended in a newer one", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		release := r.Hold()
		first := async(func() error { _, err := r.set(t.Context(), "a", "1"); return err })
		synctest.Wait()
		r.Follow(2)
		r.Lead(3)
		synctest.Wait()
		release()
		wantErr(t, <-first, kerr.NotCoordinator)
		wantValues(t, r, map[string]string{})
		if got := r.Epoch(); got != 3 {
			t.Errorf("got epoch %d, want 3", got)
		}
	})
	bubble(t, "reply of an older term is dropped", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		thaw := r.Freeze()
		first := async(func() error { _, err := r.set(t.Context(), "a", "1"); return err })
		synctest.Wait()
		r.Follow(2)
		thaw()
		wantErr(t, <-first, kerr.NotCoordinator)
	})
}

func TestLeadership(t *testing.T) {
	bubble(t, "hard-18 hard-31 loading answers 14 after the parking time", func(t *testing.T) {
		p := shardtest.New()
		p.Put(batch("a", "1"))
		p.Elect(5)
		r := openOn(t, p, shard.Options[*kv]{})
		began := time.Now()
		_, err := r.set(t.Context(), "a", "2")
		wantErr(t, err, kerr.CoordinatorLoadInProgress)
		if got := time.Since(began); got != 500*time.Millisecond {
			t.Errorf("parked %v", got)
		}
		parked := async(func() error { _, err := r.set(t.Context(), "a", "2"); return err })
		synctest.Wait()
		p.Barrier()
		wantErr(t, <-parked, nil)
		wantValues(t, r, map[string]string{"a": "2"})
	})
	bubble(t, "not the leader answers 16 at once", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		synctest.Wait()
		r.Follow(2)
		_, err := r.set(t.Context(), "a", "1")
		wantErr(t, err, kerr.NotCoordinator)
		wantErr(t, r.View(t.Context(), func(*kv) {}), kerr.NotCoordinator)
		if r.Ready() || r.Epoch() != -1 {
			t.Errorf("got ready %t, epoch %d", r.Ready(), r.Epoch())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"load 1 0", "unload 1"}, r.events); diff != "" {
			t.Error(diff)
		}
	})
	bubble(t, "hard-24 a leader that may have been replaced answers nothing from its view", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		_, err := r.set(t.Context(), "a", "1")
		wantErr(t, err, nil)
		decided := func() error { // from the view alone
			_, err := r.Update(t.Context(), "a", func(*kv, int32) (shard.Write, error) { return shard.Write{}, nil })
			return err
		}
		r.Fence(true)
		wantErr(t, r.View(t.Context(), func(*kv) { t.Error("it was looked at") }), kerr.NotCoordinator, shard.ErrFenced)
		wantErr(t, decided(), kerr.NotCoordinator, shard.ErrFenced)
		r.Fence(false)
		wantErr(t, r.Answer(t.Context(), func(*kv) { r.Fence(true) }), kerr.NotCoordinator, shard.ErrFenced) // as when the process was stopped behind the look
		r.Fence(false)
		wantErr(t, r.Answer(t.Context(), func(*kv) {}), nil)
		wantErr(t, decided(), nil)
		wantValues(t, r, map[string]string{"a": "1"})
		if diff := cmp.Diff([]string{"load 1 0"}, r.events); diff != "" {
			t.Error(diff)
		}
	})
	bubble(t, "new leadership replays what others wrote meanwhile", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		_, err := r.set(t.Context(), "a", "1")
		wantErr(t, err, nil)
		r.Follow(2)
		r.Put(batch("a", "-", "b", "2"))
		r.Lead(3)
		wantValues(t, r, map[string]string{"b": "2"})
	})
	bubble(t, "closed shard answers 16 to those who wait", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		thaw := r.Freeze()
		defer thaw()
		first := async(func() error { _, err := r.set(t.Context(), "a", "1"); return err })
		synctest.Wait()
		second := async(func() error { _, err := r.set(t.Context(), "a", "2"); return err })
		synctest.Wait()
		r.Close()
		wantErr(t, <-first, kerr.NotCoordinator)
		wantErr(t, <-second, kerr.NotCoordinator)
		_, err := r.set(t.Context(), "a", "3")
		wantErr(t, err, kerr.NotCoordinator)
	})
}

func TestReplay(t *testing.T) {
	bubble(t, "holes of compaction and tombstones", func(t *testing.T) {
		p := shardtest.New()
		p.Skip(3)
		p.Put(batch("a", "1", "b", "1"))
		p.Skip(5)
		p.Put(batch("a", "-"))
		p.Skip(2)
		r := openOn(t, p, shard.Options[*kv]{})
		wantValues(t, r, map[string]string{"b": "1"})
		offset, err := r.set(t.Context(), "c", "1")
		if err != nil || offset != 13 {
			t.Errorf("got %d, %v, want 13", offset, err)
		}
	})
	bubble(t, "log start inside a batch", func(t *testing.T) {
		p := shardtest.New()
		p.Put(batch("a", "1"))
		p.Put(batch("b", "1", "c", "1"))
		p.Trim(2)
		r := openOn(t, p, shard.Options[*kv]{})
		wantValues(t, r, map[string]string{"c": "1"})
	})
	bubble(t, "markers of others reach the view when nobody updates", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		wantValues(t, r, map[string]string{})
		var seen *kv
		wantErr(t, r.View(t.Context(), func(v *kv) { seen = v }), nil)
		for range 10 {
			r.Put(record.NewMarker(7, 3, record.Control{Commit: true}, 0))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if seen.markers != 10 {
			t.Errorf("got %d markers, want 10", seen.markers)
		}
		if got := r.Reads(); got > 2 {
			t.Errorf("log was read %d times for a burst", got)
		}
	})
	bubble(t, "what cannot be understood ends the leadership's service", func(t *testing.T) {
		p := shardtest.New()
		p.Put(batch("a", "strange"))
		r := &rig{Partition: p}
		refuse := "strange"
		r.Shard = shard.Open(t.Context(), p, func(int32) *kv { return &kv{values: map[string]string{}, refuse: refuse} }, shard.Options[*kv]{})
		defer r.Close()
		_, err := r.set(t.Context(), "b", "1")
		wantErr(t, err, kerr.CoordinatorNotAvailable)
		refuse = ""
		p.Lead(2)
		_, err = r.set(t.Context(), "b", "1")
		wantErr(t, err, nil)
	})
	bubble(t, "a read that failed while loading is tried again in the same leadership", func(t *testing.T) {
		p := shardtest.New()
		p.Put(batch("a", "1"))
		p.FailReads(3)
		r := openOn(t, p, shard.Options[*kv]{})
		synctest.Wait()
		_, err := r.set(t.Context(), "b", "1")
		wantErr(t, err, kerr.CoordinatorNotAvailable)
		time.Sleep(time.Second)
		_, err = r.set(t.Context(), "b", "1")
		wantErr(t, err, nil)
		wantValues(t, r, map[string]string{"a": "1", "b": "1"})
	})
	bubble(t, "a read that failed for a while costs no leadership", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		synctest.Wait()
		r.FailReads(3)
		r.Put(batch("a", "1"))
		synctest.Wait()
		wantErr(t, r.View(t.Context(), func(*kv) {}), kerr.CoordinatorNotAvailable)
		time.Sleep(time.Second)
		reads := r.Reads()
		wantValues(t, r, map[string]string{"a": "1"})
		time.Sleep(time.Hour)
		if got := r.Reads(); got != reads {
			t.Errorf("log was read %d times more without need", got-reads)
		}
		if diff := cmp.Diff([]string{"load 1 0"}, r.events); diff != "" {
			t.Error(diff)
		}
	})
	bubble(t, "who waits for a log that cannot be read does not press", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		synctest.Wait()
		before := r.Reads()
		r.FailReads(1000)
		r.Put(batch("a", "1"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for ctx.Err() == nil { // as RegisterBroker of the metadata does
			if r.WaitReady(ctx) == nil {
				_, err := r.set(ctx, "b", "1")
				wantErr(t, err, kerr.CoordinatorNotAvailable)
				synctest.Wait() // the shard sees it too
			}
		}
		if got := r.Reads() - before; got > 20 {
			t.Errorf("log was read %d times in a second", got)
		}
		r.FailReads(0)
		wantErr(t, r.WaitReady(t.Context()), nil)
		wantValues(t, r, map[string]string{"a": "1"})
	})
	bubble(t, "many chunks", func(t *testing.T) {
		p := shardtest.New()
		big := string(make([]byte, 100<<10))
		want := map[string]string{}
		for i := range 40 {
			p.Put(batch(fmt.Sprint(i), big))
			want[fmt.Sprint(i)] = big
		}
		r := openOn(t, p, shard.Options[*kv]{})
		wantValues(t, r, want)
	})
}

func TestFollow(t *testing.T) {
	bubble(t, "following view answers on every node and survives leaderships", func(t *testing.T) {
		p := shardtest.New()
		p.Follow(1)
		var persisted int64
		r := openOn(t, p, shard.Options[*kv]{Follow: true, Persist: func(_ *kv, next int64) error { persisted = next; return nil }})
		synctest.Wait()
		p.Put(batch("a", "1"))
		wantValues(t, r, map[string]string{"a": "1"})
		_, err := r.set(t.Context(), "b", "1")
		wantErr(t, err, kerr.NotCoordinator)
		p.Lead(2)
		_, err = r.set(t.Context(), "b", "1")
		wantErr(t, err, nil)
		p.Follow(3)
		p.Put(batch("c", "1"))
		wantValues(t, r, map[string]string{"a": "1", "b": "1", "c": "1"})
		if persisted != 3 {
			t.Errorf("persisted up to %d, want 3", persisted)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"load 2 1", "unload 2"}, r.events); diff != "" {
			t.Error(diff)
		}
	})
}
