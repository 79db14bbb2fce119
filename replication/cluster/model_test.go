package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"github.com/oncelog/oncelog/replication/shard/shardtest"
)

// model is the metadata as plain maps.
type model struct {
	topics  map[string]modelTopic
	dead    map[UUID]string
	brokers map[int32]string // rack
	next    int64            // producer id
	level   int16            // of transaction.version
}

type modelTopic struct {
	ID         UUID
	Partitions int
	Configs    map[string]string
}

// rig is the metadata under test beside its model.
type rig struct {
	m     *Metadata
	p     *shardtest.Partition
	dir   string
	epoch int32
	want  model
}

// TestModel takes random commands, restarts, changes of leadership and appends in
// doubt, and compares the image with plain maps.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "metadata")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		r := &rig{p: shardtest.New(), dir: dir, epoch: 1, want: model{
			topics: map[string]modelTopic{}, dead: map[UUID]string{}, brokers: map[int32]string{1: ""}, level: 2,
		}}
		r.open(t)
		defer func() { r.close(t) }()
		must(t, register(r.m, Broker{ID: 1}))
		t.Repeat(map[string]func(*rapid.T){
			"create": r.create, "delete": r.delete, "grow": r.grow, "configure": r.configure,
			"register": r.register, "ids": r.ids, "feature": r.feature, "restart": r.restart,
			"election": r.election, "": r.compare,
		})
	})
}

func must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func register(m *Metadata, b Broker) error {
	_, err := m.RegisterBroker(context.Background(), b)
	return err
}

func (r *rig) open(t *rapid.T) {
	dir := r.dir
	if rapid.IntRange(0, 3).Draw(t, "state file") != 0 {
		dir = ""
	}
	var err error
	r.m, err = OpenOn(context.Background(), r.p, Config{NodeID: 1, Dir: dir})
	must(t, err)
	must(t, r.m.WaitReady(context.Background()))
}

func (r *rig) close(t *rapid.T) { must(t, r.m.Close()) }

func (r *rig) restart(t *rapid.T) {
	r.close(t)
	r.open(t)
	must(t, r.m.shard.View(context.Background(), func(*view) {}))
}

// election moves the leadership away and back.
func (r *rig) election(t *rapid.T) {
	r.epoch += 2
	r.p.Follow(r.epoch - 1)
	r.p.Lead(r.epoch)
	must(t, r.m.WaitReady(context.Background()))
}

// doubt sometimes lets the next append end without an answer. Then fn's command
// may or may not be in force: stored says which.
func (r *rig) doubt(t *rapid.T, fn func() error) (stored bool, err error) {
	fault := rapid.SampledFrom([]shardtest.Fault{0, 0, 0, 0, shardtest.Lost, shardtest.Stored, shardtest.Refused}).Draw(t, "fault")
	if fault == 0 {
		err := fn()
		return err == nil, err
	}
	end := r.p.EndOffset()
	r.p.Fail(fault)
	err = fn()
	r.p.ClearFaults()
	switch {
	case r.p.EndOffset() > end:
		must(t, r.m.WaitReady(context.Background()))
		must(t, r.m.shard.View(context.Background(), func(*view) {}))
		return true, nil
	case errors.Is(err, shardtest.ErrInjected) || errors.Is(err, kerr.NotController):
		must(t, r.m.WaitReady(context.Background()))
		return false, nil
	default:
		return false, err // decided before it was appended
	}
}

func (r *rig) name(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d.e", "d_e"}).Draw(t, "name")
}

func (r *rig) create(t *rapid.T) {
	name, n := r.name(t), rapid.IntRange(1, 4).Draw(t, "partitions")
	_, exists := r.want.topics[name]
	_, dot := r.want.topics["d.e"]
	_, under := r.want.topics["d_e"]
	collides := !exists && (name == "d.e" && under || name == "d_e" && dot)
	var topic Topic
	stored, err := r.doubt(t, func() (err error) {
		topic, err = r.m.CreateTopic(context.Background(), TopicSpec{Name: name, Partitions: int32(n), ReplicationFactor: 1})
		return err
	})
	switch {
	case exists != errors.Is(err, kerr.TopicAlreadyExists) || collides != errors.Is(err, kerr.InvalidTopicException):
		t.Fatalf("exists %t, collides %t, got %v", exists, collides, err)
	case stored:
		r.want.topics[name] = modelTopic{ID: topic.ID, Partitions: n, Configs: map[string]string{}}
	}
}

func (r *rig) delete(t *rapid.T) {
	topic, ok := r.want.topics[r.pick(t)]
	if !ok {
		return
	}
	stored, err := r.doubt(t, func() error { return r.m.DeleteTopic(context.Background(), topic.ID) })
	must(t, err)
	if stored {
		name := r.nameOf(topic.ID)
		r.want.dead[topic.ID] = name
		delete(r.want.topics, name)
	}
}

func (r *rig) pick(t *rapid.T) string {
	names := slices.Sorted(maps.Keys(r.want.topics))
	if len(names) == 0 {
		t.Skip("no topics")
	}
	return rapid.SampledFrom(names).Draw(t, "topic")
}

func (r *rig) nameOf(id UUID) string {
	for name, topic := range r.want.topics {
		if topic.ID == id {
			return name
		}
	}
	return ""
}

func (r *rig) grow(t *rapid.T) {
	name := r.pick(t)
	topic := r.want.topics[name]
	topic.Partitions += rapid.IntRange(1, 3).Draw(t, "more")
	stored, err := r.doubt(t, func() error {
		return r.m.AddPartitions(context.Background(), topic.ID, int32(topic.Partitions), nil, false)
	})
	must(t, err)
	if stored {
		r.want.topics[name] = topic
	}
}

func (r *rig) configure(t *rapid.T) {
	name := r.pick(t)
	after := maps.Clone(r.want.topics[name].Configs)
	op := ConfigOp{Name: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "config"), Kind: OpDelete}
	if rapid.Bool().Draw(t, "set") {
		value := fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "value"))
		op.Kind, op.Value = OpSet, &value
		after[op.Name] = value
	} else {
		delete(after, op.Name)
	}
	same := maps.Equal(after, r.want.topics[name].Configs)
	stored, err := r.doubt(t, func() error {
		return r.m.AlterConfigs(context.Background(), Resource{TopicResource, name}, []ConfigOp{op}, false)
	})
	must(t, err)
	if stored || same {
		topic := r.want.topics[name]
		topic.Configs = after
		r.want.topics[name] = topic
	}
}

func (r *rig) register(t *rapid.T) {
	b := Broker{ID: int32(rapid.IntRange(1, 3).Draw(t, "broker")), Rack: rapid.StringMatching("[a-c]").Draw(t, "rack")}
	must(t, register(r.m, b))
	r.want.brokers[b.ID] = b.Rack
}

func (r *rig) ids(t *rapid.T) {
	first := int64(-1) // of a grant whose answer was lost nobody knows
	stored, err := r.doubt(t, func() (err error) {
		first, _, err = r.m.AllocateProducerIDs(context.Background())
		return err
	})
	must(t, err)
	if !stored {
		return
	}
	if first >= 0 && first != r.want.next {
		t.Fatalf("got producer ids from %d, want %d", first, r.want.next)
	}
	r.want.next += blockSize
}

func (r *rig) feature(t *rapid.T) {
	level := int16(rapid.IntRange(0, 2).Draw(t, "level"))
	stored, err := r.doubt(t, func() error { return r.m.SetFeature(context.Background(), TransactionVersion, level) })
	must(t, err)
	if stored {
		r.want.level = level
	}
}

// compare reads the image as the model would be.
func (r *rig) compare(t *rapid.T) {
	img := r.m.Image()
	got := model{
		topics: map[string]modelTopic{}, dead: map[UUID]string{}, brokers: map[int32]string{},
		next: img.nextProducerID, level: img.Feature(TransactionVersion),
	}
	for _, topic := range img.Topics() {
		byID, ok := img.TopicByID(topic.ID)
		if !ok || byID != topic {
			t.Fatalf("topic %s is not found by its id", topic.Name)
		}
		configs := maps.Clone(topic.Configs)
		if configs == nil {
			configs = map[string]string{}
		}
		for i, p := range topic.Partitions {
			if p.ID != int32(i) || len(p.Replicas) != 1 {
				t.Fatalf("topic %s has partition %+v at %d", topic.Name, p, i)
			}
		}
		got.topics[topic.Name] = modelTopic{ID: topic.ID, Partitions: len(topic.Partitions), Configs: configs}
	}
	for _, d := range img.DeadTopics() {
		got.dead[d.ID] = d.Name
	}
	for _, b := range img.Brokers() {
		got.brokers[b.ID] = b.Rack
	}
	if diff := cmp.Diff(r.want, got, cmp.AllowUnexported(model{})); diff != "" {
		t.Fatalf("image (-want +got):\n%s", diff)
	}
}
