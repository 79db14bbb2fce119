package shard_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

// kv is the view of these tests: the newest value of each key, and what happened.
type kv struct {
	epoch   int32
	values  map[string]string
	markers int
	batches int
	refuse  string // a value that Apply does not understand
}

func (v *kv) Apply(b shard.Batch) error {
	v.batches++
	if b.Control != nil {
		v.markers++
	}
	for _, r := range b.Records {
		switch {
		case v.refuse != "" && string(r.Value) == v.refuse:
			return errors.New("unknown version")
		case r.Value == nil:
			delete(v.values, string(r.Key))
		default:
			v.values[string(r.Key)] = string(r.Value)
		}
	}
	return nil
}

// rig is a shard over a partition in memory, in a bubble.
type rig struct {
	*shardtest.Partition
	*shard.Shard[*kv]
	events []string // loads and unloads
	refuse string
}

func open(t *testing.T, opts shard.Options[*kv]) *rig {
	t.Helper()
	return openOn(t, shardtest.New(), opts)
}

func openOn(t *testing.T, p *shardtest.Partition, opts shard.Options[*kv]) *rig {
	t.Helper()
	r := &rig{Partition: p}
	opts.OnLoad = func(v *kv, epoch int32) { r.events = append(r.events, fmt.Sprintf("load %d %d", epoch, len(v.values))) }
	opts.OnUnload = func(_ *kv, epoch int32) { r.events = append(r.events, fmt.Sprintf("unload %d", epoch)) }
	r.Shard = shard.Open(t.Context(), p, func(epoch int32) *kv {
		return &kv{epoch: epoch, values: map[string]string{}, refuse: r.refuse}
	}, opts)
	t.Cleanup(r.Close)
	return r
}

func bubble(t *testing.T, name string, fn func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, fn) })
}

// set appends key = value; a nil-like "-" is a tombstone.
func (r *rig) set(ctx context.Context, key, value string) (int64, error) {
	return r.Update(ctx, key, func(*kv, int32) (shard.Write, error) {
		return shard.Write{Records: []record.Record{pair(key, value)}}, nil
	})
}

func pair(key, value string) record.Record {
	rec := record.Record{Key: []byte(key), Value: []byte(value)}
	if value == "-" {
		rec.Value = nil
	}
	return rec
}

func batch(pairs ...string) record.Batch {
	b := record.NewBuilder(record.NoProducer())
	for i := 0; i < len(pairs); i += 2 {
		b.Append(pair(pairs[i], pairs[i+1]))
	}
	return b.Build()
}

func (r *rig) values(t *testing.T) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := r.View(t.Context(), func(v *kv) {
		for k, value := range v.values {
			got[k] = value
		}
	})
	if err != nil {
		t.Fatalf("View: %v", err)
	}
	return got
}

func wantValues(t *testing.T, r *rig, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, r.values(t)); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
}

func wantErr(t *testing.T, got error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(got, w) {
			t.Errorf("got error %v, want %v", got, w)
		}
	}
}

// async runs fn in the bubble and hands its error over.
func async(fn func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- fn() }()
	return result
}

func TestUpdate(t *testing.T) {
	bubble(t, "view holds the record when Update returns", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		for i, want := range []int64{0, 1, 2} {
			got, err := r.set(t.Context(), "a", fmt.Sprint(i))
			if err != nil || got != want {
				t.Fatalf("got offset %d, error %v, want %d", got, err, want)
			}
			wantValues(t, r, map[string]string{"a": fmt.Sprint(i)})
		}
	})
	bubble(t, "decide sees everything committed before", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		r.Put(batch("a", "theirs"))
		_, err := r.Update(t.Context(), "a", func(v *kv, epoch int32) (shard.Write, error) {
			if v.values["a"] != "theirs" || epoch != 1 || v.epoch != 1 {
				t.Errorf("got value %q, epochs %d, %d", v.values["a"], epoch, v.epoch)
			}
			return shard.Write{}, nil
		})
		wantErr(t, err, nil)
	})
	bubble(t, "error of decide is returned as it is and nothing appended", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		sentinel := errors.New("no")
		offset, err := r.Update(t.Context(), "a", func(*kv, int32) (shard.Write, error) { return shard.Write{}, sentinel })
		if err != sentinel || offset != -1 || r.EndOffset() != 0 {
			t.Errorf("got %d, %v, log end %d", offset, err, r.EndOffset())
		}
	})
	bubble(t, "transactional records carry their producer", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		_, err := r.Update(t.Context(), "g", func(*kv, int32) (shard.Write, error) {
			return shard.Write{Records: []record.Record{pair("g", "1")}, Transactional: true, ProducerID: 7, ProducerEpoch: 3}, nil
		})
		wantErr(t, err, nil)
		if b := r.Batches()[0]; !b.IsTransactional() || b.ProducerID() != 7 || b.ProducerEpoch() != 3 || b.BaseSequence() != -1 {
			t.Errorf("got %t %d %d %d", b.IsTransactional(), b.ProducerID(), b.ProducerEpoch(), b.BaseSequence())
		}
	})
	bubble(t, "refused append leaves the shard serving", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		r.Fail(shardtest.Refused)
		_, err := r.set(t.Context(), "a", "1")
		wantErr(t, err, shardtest.ErrInjected, kerr.NotEnoughReplicas)
		_, err = r.set(t.Context(), "a", "2")
		wantErr(t, err, nil)
		if diff := cmp.Diff([]string{"load 1 0"}, r.events); diff != "" {
			t.Error(diff)
		}
	})
	bubble(t, "hundred updates of one key follow one another", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				_, err := r.Update(t.Context(), "n", func(v *kv, _ int32) (shard.Write, error) {
					return shard.Write{Records: []record.Record{pair("n", v.values["n"]+"x")}}, nil
				})
				wantErr(t, err, nil)
			})
		}
		all.Wait()
		if got := len(r.values(t)["n"]); got != 100 {
			t.Errorf("got %d updates, want 100", got)
		}
	})
}

func TestKeyIsHeld(t *testing.T) {
	bubble(t, "hard-18 update holds its key until settled, others wait as long as ctx allows", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		release := r.Hold()
		first := async(func() error { _, err := r.set(t.Context(), "a", "1"); return err })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := r.set(ctx, "a", "2")
		wantErr(t, err, shard.ErrBusy, context.DeadlineExceeded)
		release()
		wantErr(t, <-first, nil)
		_, err = r.set(t.Context(), "a", "3")
		wantErr(t, err, nil)
		wantValues(t, r, map[string]string{"a": "3"})
	})
	bubble(t, "another key is free", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		release := r.Hold()
		first := async(func() error { _, err := r.set(t.Context(), "a", "1"); return err })
		second := async(func() error { _, err := r.set(t.Context(), "b", "1"); return err })
		synctest.Wait()
		if got := r.Held(); got != 2 {
			t.Errorf("got %d appends at once, want 2", got)
		}
		release()
		wantErr(t, <-first, nil)
		wantErr(t, <-second, nil)
	})
	bubble(t, "nothing shows before its commit", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		thaw := r.Freeze()
		first := async(func() error { _, err := r.set(t.Context(), "a", "1"); return err })
		synctest.Wait()
		wantValues(t, r, map[string]string{})
		thaw()
		wantErr(t, <-first, nil)
		wantValues(t, r, map[string]string{"a": "1"})
	})
	bubble(t, "ended context does not abandon an append", func(t *testing.T) {
		r := open(t, shard.Options[*kv]{})
		thaw := r.Freeze()
		ctx, cancel := context.WithCancel(t.Context())
		first := async(func() error { _, err := r.set(ctx, "a", "1"); return err })
		synctest.Wait()
		cancel()
		synctest.Wait()
		thaw()
		wantErr(t, <-first, nil)
	})
}
