package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	bolt "go.etcd.io/bbolt"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

var images = cmp.AllowUnexported(Image{})

// start opens metadata over p and registers broker 1.
func start(t *testing.T, p *shardtest.Partition, cfg Config) *Metadata {
	t.Helper()
	m := reopen(t, p, cfg)
	broker := Broker{ID: 1, Listeners: []Listener{{Name: "PLAINTEXT", Protocol: "PLAINTEXT", Host: "localhost", Port: 9092}}}
	if _, err := m.RegisterBroker(t.Context(), broker); err != nil {
		t.Fatal(err)
	}
	return m
}

func reopen(t *testing.T, p *shardtest.Partition, cfg Config) *Metadata {
	t.Helper()
	m, err := OpenOn(context.WithoutCancel(t.Context()), p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, m) })
	return m
}

func stop(t *testing.T, m *Metadata) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func create(t *testing.T, m *Metadata, name string, partitions int32) Topic {
	t.Helper()
	topic, err := m.CreateTopic(t.Context(), TopicSpec{Name: name, Partitions: partitions, ReplicationFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// settle makes m apply all there is.
func settle(t *testing.T, m *Metadata) *Image {
	t.Helper()
	if err := m.shard.View(t.Context(), func(*view) {}); err != nil {
		t.Fatal(err)
	}
	return m.Image()
}

func wantErr(t *testing.T, got error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(got, w) {
			t.Errorf("got error %v, want %v", got, w)
		}
	}
}

func TestMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, shardtest.New(), Config{Features: map[string]int16{TransactionVersion: 1}})
		id := m.Image().ClusterID
		if len(id) != 22 {
			t.Errorf("cluster id %q, want 22 characters", id)
		}
		if diff := cmp.Diff(map[string]int16{MetadataVersion: 30, TransactionVersion: 1}, m.Image().Features()); diff != "" {
			t.Error(diff)
		}

		before, changed := m.Image(), m.Changed()
		topic := create(t, m, "orders", 3)
		<-changed
		if _, ok := before.Topic("orders"); ok {
			t.Error("an older image changed")
		}
		got, _ := m.Image().Topic("orders")
		if diff := cmp.Diff(&topic, got); diff != "" {
			t.Errorf("created and applied differ:\n%s", diff)
		}
		if topic.ID[6]>>4 != 4 || topic.ID[8]>>6 != 2 {
			t.Errorf("topic id %x is not a random uuid", topic.ID)
		}

		again := start(t, shardtest.New(), Config{})
		if again.Image().ClusterID == id {
			t.Error("two clusters have one id")
		}
	})
}

func TestRecreatedTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, shardtest.New(), Config{})
		first := create(t, m, "orders", 1)
		wantErr(t, m.DeleteTopic(t.Context(), first.ID), nil)
		second := create(t, m, "orders", 2)

		t.Log("hard-36 a topic of the same name is another topic, and the old id is listed as dead")
		img := m.Image()
		if first.ID == second.ID {
			t.Error("topic id was used twice")
		}
		if d, ok := img.Dead(first.ID); !ok || d.Name != "orders" || len(img.DeadTopics()) != 1 {
			t.Errorf("got dead topics %v", img.DeadTopics())
		}
		if _, ok := img.TopicByID(first.ID); ok {
			t.Error("dead id still finds a topic")
		}
		wantErr(t, m.DeleteTopic(t.Context(), first.ID), kerr.UnknownTopicID)
	})
}

func TestRestart(t *testing.T) {
	for _, name := range []string{"from the log", "from the state file"} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{}
			if name != "from the log" {
				cfg.Dir = t.TempDir()
			}
			p := shardtest.New()
			m := start(t, p, cfg)
			fill(t, m)
			want := m.Image()
			stop(t, m)

			reads := p.Reads()
			m = reopen(t, p, cfg)
			if cfg.Dir != "" {
				if diff := cmp.Diff(want, m.Image(), images); diff != "" {
					t.Errorf("image of the state file (-want +got):\n%s", diff)
				}
			}
			got := settle(t, m)
			if diff := cmp.Diff(want, got, images); diff != "" {
				t.Errorf("image after restart (-want +got):\n%s", diff)
			}
			if cfg.Dir != "" && p.Reads() != reads {
				t.Errorf("log was read %d times though nothing was new", p.Reads()-reads)
			}
		})
	}
}

// fill makes every kind of change.
func fill(t *testing.T, m *Metadata) {
	t.Helper()
	ctx := t.Context()
	value := "1000"
	create(t, m, "orders", 3)
	gone := create(t, m, "gone", 1)
	grown := create(t, m, "grown", 1)
	_, _, blockErr := m.AllocateProducerIDs(ctx)
	_, registerErr := m.RegisterBroker(ctx, Broker{ID: 2})
	joinErr := m.JoinBroker(ctx, 4, "four:9093", "r")
	_, otherErr := m.RegisterBroker(ctx, Broker{ID: 3, Rack: "r"})
	for _, err := range []error{
		blockErr, registerErr, otherErr, joinErr,
		m.AddPartitions(ctx, grown.ID, 4, [][]int32{{1}, {3}, {1}}, false),
		m.DeleteTopic(ctx, gone.ID),
		m.AlterConfigs(ctx, Resource{TopicResource, "orders"}, []ConfigOp{{Name: "retention.ms", Value: &value}}, false),
		m.AlterConfigs(ctx, Resource{BrokerResource, ""}, []ConfigOp{{Name: "log.retention.ms", Value: &value}}, false),
		m.AlterConfigs(ctx, Resource{BrokerResource, "1"}, []ConfigOp{{Name: "a", Value: &value}, {Name: "b", Value: &value}}, false),
		m.AlterConfigs(ctx, Resource{BrokerResource, "1"}, []ConfigOp{{Name: "a", Kind: OpDelete}}, false),
		m.SetFeature(ctx, TransactionVersion, 0),
		m.UnregisterBroker(ctx, 2),
	} {
		wantErr(t, err, nil)
	}
}

func TestStateFile(t *testing.T) {
	// Each case spoils the state file of a full image; the next start must know
	// everything all the same.
	spoil := map[string]func(t *testing.T, path string){
		"is gone":            func(t *testing.T, path string) { wantErr(t, os.Remove(path), nil) },
		"is empty":           func(t *testing.T, path string) { wantErr(t, os.Truncate(path, 0), nil) },
		"is cut short":       func(t *testing.T, path string) { wantErr(t, os.Truncate(path, 9000), nil) },
		"is no bbolt file":   func(t *testing.T, path string) { wantErr(t, os.WriteFile(path, []byte("junk"), 0o644), nil) },
		"has torn meta":      func(t *testing.T, path string) { smear(t, path, 0, 8192) },
		"has torn pages":     func(t *testing.T, path string) { smear(t, path, 8192, 1<<20) },
		"has one older page": func(t *testing.T, path string) { smear(t, path, 8192, 12288) },
	}
	for name, fn := range spoil {
		t.Run("state file "+name, func(t *testing.T) {
			cfg, p := Config{Dir: t.TempDir()}, shardtest.New()
			m := start(t, p, cfg)
			fill(t, m)
			want := m.Image()
			stop(t, m)
			fn(t, filepath.Join(cfg.Dir, stateName))

			m = reopen(t, p, cfg)
			if diff := cmp.Diff(want, settle(t, m), images); diff != "" {
				t.Errorf("image (-want +got):\n%s", diff)
			}
			stop(t, m)
			m = reopen(t, p, cfg)
			if diff := cmp.Diff(want, m.Image(), images); diff != "" {
				t.Errorf("image of the new state file (-want +got):\n%s", diff)
			}
		})
	}
}

// smear overwrites bytes of a file, as far as there are any.
func smear(t *testing.T, path string, from, to int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < min(to, len(b)); i++ {
		b[i] ^= byte(i*7 + 1)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestStateFileAheadOfLog(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	m := start(t, shardtest.New(), cfg)
	fill(t, m)
	stop(t, m)

	// A power cut took the log's tail, here all of it, but not the state file.
	m = start(t, shardtest.New(), cfg)
	if got := len(m.Image().Topics()); got != 0 {
		t.Errorf("got %d topics that the log does not know", got)
	}
}

func TestStateFileOfNewerVersion(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	state, _, _, err := openState(filepath.Join(cfg.Dir, stateName))
	if err != nil {
		t.Fatal(err)
	}
	err = state.db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(headBucket))
		if err != nil {
			return err
		}
		return b.Put(headKey, encodeHead(head{Version: stateVersion + 1}))
	})
	wantErr(t, errors.Join(err, state.seal(), state.close()), nil)
	_, err = OpenOn(t.Context(), shardtest.New(), cfg)
	wantErr(t, err, errNewerState)
}

func TestEveryCommitIsDurableState(t *testing.T) {
	// The state file at any moment plus the log gives the newest image.
	p, dir := shardtest.New(), t.TempDir()
	m := start(t, p, Config{Dir: dir})
	for i := range 5 {
		create(t, m, fmt.Sprintf("t%d", i), 1)
		copied := t.TempDir()
		for _, name := range []string{stateName, stateName + sealSuffix} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(copied, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		other := reopen(t, p, Config{Dir: copied})
		if diff := cmp.Diff(m.Image(), settle(t, other), images); diff != "" {
			t.Fatal(diff)
		}
		stop(t, other)
	}
}

func TestUnknownCommandStopsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := shardtest.New()
		start(t, p, Config{})
		b := record.NewBuilder(record.NoProducer())
		b.Append(record.Record{Value: []byte(`{"v":2,"createAcl":{}}`)})
		p.Put(b.Build())
		m := reopen(t, p, Config{})
		_, err := m.CreateTopic(t.Context(), TopicSpec{Name: "a", Partitions: 1, ReplicationFactor: 1})
		wantErr(t, err, kerr.NotController)
		if !strings.Contains(err.Error(), "version 2") {
			t.Errorf("got %q, want it to name the version", err)
		}
	})
}

func TestNotTheController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := shardtest.New()
		m := start(t, p, Config{})
		p.Follow(2)
		_, err := m.CreateTopic(t.Context(), TopicSpec{Name: "a", Partitions: 1, ReplicationFactor: 1})
		wantErr(t, err, kerr.NotController)
		var wire *kerr.Error
		if !errors.As(err, &wire) || wire != kerr.NotController {
			t.Errorf("code on the wire is %v", wire)
		}
	})
}

func TestProducerIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := shardtest.New()
		m := start(t, p, Config{})
		grant := func(m *Metadata, want int64) {
			t.Helper()
			if first, n, err := m.AllocateProducerIDs(t.Context()); err != nil || first != want || n != 1000 {
				t.Errorf("got %d, %d, %v, want %d", first, n, err, want)
			}
		}
		grant(m, 0)
		grant(m, 1000)
		stop(t, m)

		t.Log("hard-39 a block is never granted again, also after a restart")
		m = reopen(t, p, Config{})
		grant(m, 2000)

		t.Log("hard-39 a grant whose fate is unknown is not used, and skipped if it was committed")
		p.Fail(shardtest.Stored)
		_, _, err := m.AllocateProducerIDs(t.Context())
		wantErr(t, err, kerr.NotController)
		grant(m, 4000)
	})
}

func TestProducerIDsInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, shardtest.New(), Config{})
		var mu sync.Mutex
		seen := map[int64]bool{}
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				for range 20 {
					first, n, err := m.AllocateProducerIDs(t.Context())
					mu.Lock()
					if err != nil || n != 1000 || first%1000 != 0 || seen[first] {
						t.Errorf("got block %d of %d (seen: %t), error %v", first, n, seen[first], err)
					}
					seen[first] = true
					mu.Unlock()
				}
			})
		}
		all.Wait()
	})
}

// Promise 24 for the state file: whatever byte of it changes, and wherever it is
// cut, the next start knows what the log says. A sample; ONCELOG_SWEEP=full
// takes every byte.
func TestDamagedStateFile(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long")
	}
	cfg, p := Config{Dir: t.TempDir()}, shardtest.New()
	m := start(t, p, cfg)
	fill(t, m)
	want := m.Image()
	stop(t, m)
	path := filepath.Join(cfg.Dir, stateName)
	content, err := os.ReadFile(path)
	wantErr(t, err, nil)
	every := 397
	if os.Getenv("ONCELOG_SWEEP") == "full" {
		every = 1
	}
	damages := 0
	for at := 0; at < len(content); at += every {
		for _, damaged := range [][]byte{append(append(slices.Clone(content[:at]), content[at]^0x15), content[at+1:]...), content[:at]} {
			wantErr(t, os.WriteFile(path, damaged, 0o600), nil)
			m := reopen(t, p, cfg)
			if diff := cmp.Diff(want, settle(t, m), images); diff != "" {
				t.Fatalf("byte %d, %d bytes left: image (-want +got):\n%s", at, len(damaged), diff)
			}
			stop(t, m)
			damages++
		}
	}
	t.Logf("%d damages, all recovered", damages)
}
