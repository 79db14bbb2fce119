package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
)

// state is an image that these commands lead to.
func state(commands ...command) *Image {
	img := newImage()
	for i, c := range commands {
		img.apply(c, int64(i), map[part]struct{}{})
		img.Offset = int64(i) + 1
	}
	return img
}

// small is a cluster of three brokers with some topics.
func small() *Image {
	topic := func(id byte, name string, replicas ...[]int32) command {
		t := &Topic{ID: UUID{id}, Name: name, Internal: IsInternal(name)}
		for _, own := range replicas {
			t.Partitions = append(t.Partitions, Partition{Replicas: own})
		}
		return command{CreateTopic: t}
	}
	return state(
		command{Found: &found{ClusterID: "c", Features: defaultFeatures()}},
		command{Register: &Broker{ID: 1}}, command{Register: &Broker{ID: 2}}, command{Register: &Broker{ID: 3}},
		topic(1, "orders", []int32{1, 2}, []int32{2, 3}),
		topic(2, "with.dot", []int32{1}),
		topic(3, "__consumer_offsets", []int32{1}),
		topic(4, "gone", []int32{1}),
		command{DeleteTopic: &deleteTopic{ID: UUID{4}}},
	)
}

// noLarge refuses a configuration by its value.
type noLarge struct{}

func (noLarge) Validate(_ Resource, values map[string]string) error {
	for name, value := range values {
		if value == "large" {
			return fmt.Errorf("%s is large: %w", name, kerr.InvalidConfig)
		}
	}
	return nil
}

func (noLarge) List(_ Resource, name string) (string, bool) {
	return "delete", name == "cleanup.policy"
}

func TestDecideTopic(t *testing.T) {
	plain := TopicSpec{Name: "new", Partitions: 1, ReplicationFactor: 1}
	with := func(change func(*TopicSpec)) TopicSpec {
		s := plain
		change(&s)
		return s
	}
	named := func(name string) TopicSpec { return with(func(s *TopicSpec) { s.Name = name }) }
	assigned := func(a ...[]int32) TopicSpec {
		return TopicSpec{Name: "new", Partitions: -1, ReplicationFactor: -1, Assignments: a}
	}
	tests := []struct {
		rule string
		spec TopicSpec
		want error
	}{
		{"plain topic", plain, nil},
		{"longest name", named(strings.Repeat("a", 249)), nil},
		{"every legal character", named("aZ09._-"), nil},
		{"three dots are a name", named("..."), nil},
		{"name is empty", named(""), kerr.InvalidTopicException},
		{"name is a dot", named("."), kerr.InvalidTopicException},
		{"name is two dots", named(".."), kerr.InvalidTopicException},
		{"name is too long", named(strings.Repeat("a", 250)), kerr.InvalidTopicException},
		{"name has a space", named("a b"), kerr.InvalidTopicException},
		{"name has a slash", named("a/b"), kerr.InvalidTopicException},
		{"name has an umlaut", named("\u00fc"), kerr.InvalidTopicException},
		{"name is not UTF-8", named("a\xff"), kerr.InvalidTopicException},
		{"name collides by dot and underscore", named("with_dot"), kerr.InvalidTopicException},
		{"name exists", named("orders"), kerr.TopicAlreadyExists},
		{"name of a deleted topic is free", named("gone"), nil},
		{"metadata topic cannot be created", named(MetadataTopic), kerr.InvalidRequest},
		{"no partitions", with(func(s *TopicSpec) { s.Partitions = 0 }), kerr.InvalidPartitions},
		{"negative partitions", with(func(s *TopicSpec) { s.Partitions = -2 }), kerr.InvalidPartitions},
		{"excessive partitions", with(func(s *TopicSpec) { s.Partitions = 10_001 }), kerr.PolicyViolation},
		{"no replicas", with(func(s *TopicSpec) { s.ReplicationFactor = 0 }), kerr.InvalidReplicationFactor},
		{"negative replicas", with(func(s *TopicSpec) { s.ReplicationFactor = -2 }), kerr.InvalidReplicationFactor},
		{"as many replicas as brokers", with(func(s *TopicSpec) { s.ReplicationFactor = 3 }), nil},
		{"more replicas than brokers", with(func(s *TopicSpec) { s.ReplicationFactor = 4 }), kerr.InvalidReplicationFactor},
		{"configuration is refused", with(func(s *TopicSpec) { s.Configs = map[string]string{"a": "large"} }), kerr.InvalidConfig},
		{"manual assignment", assigned([]int32{1, 2}, []int32{3, 1}), nil},
		{"assignment beside a count", TopicSpec{Name: "new", Partitions: 1, ReplicationFactor: -1, Assignments: [][]int32{{1}}}, kerr.InvalidRequest},
		{"assignment beside a factor", TopicSpec{Name: "new", Partitions: -1, ReplicationFactor: 1, Assignments: [][]int32{{1}}}, kerr.InvalidRequest},
		{"assignment without replicas", assigned([]int32{}), kerr.InvalidReplicaAssignment},
		{"assignment names a broker twice", assigned([]int32{1, 1}), kerr.InvalidReplicaAssignment},
		{"assignment names an unknown broker", assigned([]int32{9}), kerr.InvalidReplicaAssignment},
		{"assignments of different size", assigned([]int32{1}, []int32{1, 2}), kerr.InvalidReplicaAssignment},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			got, err := decideTopic(small(), tt.spec, noLarge{}, given{id: UUID{9}, time: 5, random: 7})
			wantErr(t, err, tt.want)
			if tt.want == nil && (err != nil || got.Name != tt.spec.Name || got.ID != UUID{9} || got.Created != 5) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for _, id := range []UUID{{1}, {4}} {
		t.Run("hard-36 an id is used once", func(t *testing.T) {
			if _, err := decideTopic(small(), plain, noLarge{}, given{id: id}); err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestPlacement(t *testing.T) {
	partitions, err := place(small(), 0, 6, 2, given{random: 1})
	wantErr(t, err, nil)
	var got [][]int32
	for _, p := range partitions {
		got = append(got, p.Replicas)
	}
	if diff := cmp.Diff([][]int32{{2, 3}, {3, 1}, {1, 2}, {2, 1}, {3, 2}, {1, 3}}, got); diff != "" {
		t.Errorf("partitions are not spread in turn:\n%s", diff)
	}
}

func TestDecideDelete(t *testing.T) {
	tests := []struct {
		rule string
		id   UUID
		want error
	}{
		{"topic", UUID{1}, nil},
		{"unknown id", UUID{9}, kerr.UnknownTopicID},
		{"dead id", UUID{4}, kerr.UnknownTopicID},
		{"hard-38 internal topics cannot be deleted", UUID{3}, kerr.InvalidTopicException},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			commands, err := decideDelete(small(), tt.id, 0)
			wantErr(t, err, tt.want)
			if (len(commands) == 1) != (tt.want == nil) {
				t.Errorf("got %d commands, error %v", len(commands), err)
			}
		})
	}
}

// What is new is led by brokers that answer. An assignment by hand may name others
// beside them.
func TestFencedBrokersLeadNothingNew(t *testing.T) {
	in := given{id: UUID{9}, fenced: map[int32]bool{2: true, 3: true}}
	by := func(replicas int16, a ...[]int32) TopicSpec {
		s := TopicSpec{Name: "new", Partitions: 4, ReplicationFactor: replicas, Assignments: a}
		if len(a) > 0 {
			s.Partitions = -1
		}
		return s
	}
	topic, err := decideTopic(small(), by(3), noLarge{}, in)
	wantErr(t, err, nil)
	for _, p := range topic.Partitions {
		if p.Replicas[0] != 1 || len(p.Replicas) != 3 {
			t.Errorf("partition %d is placed on %v, want 1 first of three", p.ID, p.Replicas)
		}
	}
	_, err = decideTopic(small(), by(-1, []int32{2, 1}, []int32{1, 3}), noLarge{}, in)
	wantErr(t, err, nil)
	_, err = decideTopic(small(), by(-1, []int32{1, 2}, []int32{3, 2}), noLarge{}, in)
	wantErr(t, err, kerr.InvalidReplicaAssignment)
	_, err = decideGrow(small(), UUID{1}, 3, [][]int32{{2, 3}}, in)
	wantErr(t, err, kerr.InvalidReplicaAssignment)
	in.fenced[1] = true
	_, err = decideTopic(small(), by(1), noLarge{}, in)
	wantErr(t, err, kerr.InvalidReplicationFactor)
}

func TestDecideGrow(t *testing.T) {
	tests := []struct {
		rule        string
		id          UUID
		count       int32
		assignments [][]int32
		want        error
	}{
		{"more partitions", UUID{1}, 5, nil, nil},
		{"more partitions by hand", UUID{1}, 4, [][]int32{{1, 3}, {3, 1}}, nil},
		{"as many as there are", UUID{1}, 2, nil, kerr.InvalidPartitions},
		{"fewer", UUID{1}, 1, nil, kerr.InvalidPartitions},
		{"excessive", UUID{1}, 20_000, nil, kerr.PolicyViolation},
		{"unknown topic", UUID{9}, 5, nil, kerr.UnknownTopicID},
		{"internal topic", UUID{3}, 5, nil, kerr.InvalidRequest},
		{"too few assignments", UUID{1}, 4, [][]int32{{1, 2}}, kerr.InvalidReplicaAssignment},
		{"other replication factor", UUID{1}, 3, [][]int32{{1}}, kerr.InvalidReplicaAssignment},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			added, err := decideGrow(small(), tt.id, tt.count, tt.assignments, given{})
			wantErr(t, err, tt.want)
			if tt.want == nil && (err != nil || len(added) != int(tt.count)-2 || added[0].ID != 2 || len(added[0].Replicas) != 2) {
				t.Errorf("got %v, %v", added, err)
			}
		})
	}
}

func TestDecideConfigs(t *testing.T) {
	orders, all, one := Resource{TopicResource, "orders"}, Resource{BrokerResource, ""}, Resource{BrokerResource, "1"}
	set := func(name, value string) ConfigOp { return ConfigOp{Name: name, Value: &value} }
	edit := func(kind ConfigOpKind, name, value string) ConfigOp {
		return ConfigOp{Name: name, Kind: kind, Value: &value}
	}
	tests := []struct {
		rule   string
		r      Resource
		before map[string]string
		ops    []ConfigOp
		after  map[string]string
		want   error
	}{
		{"set", orders, nil, []ConfigOp{set("a", "1")}, map[string]string{"a": "1"}, nil},
		{"set again", orders, map[string]string{"a": "1", "b": "1"}, []ConfigOp{set("a", "2")}, map[string]string{"a": "2", "b": "1"}, nil},
		{"set the same", orders, map[string]string{"a": "1"}, []ConfigOp{set("a", "1")}, map[string]string{"a": "1"}, nil},
		{"delete", orders, map[string]string{"a": "1"}, []ConfigOp{{Name: "a", Kind: OpDelete}}, map[string]string{}, nil},
		{"delete what is not set", all, nil, []ConfigOp{{Name: "a", Kind: OpDelete}}, nil, nil},
		{"set for one broker", one, map[string]string{"a": "1"}, []ConfigOp{set("c", "1")}, map[string]string{"a": "1", "c": "1"}, nil},
		{"append to the default", orders, nil, []ConfigOp{edit(OpAppend, "cleanup.policy", "compact")}, map[string]string{"cleanup.policy": "delete,compact"}, nil},
		{"append what is there", orders, map[string]string{"cleanup.policy": "compact"}, []ConfigOp{edit(OpAppend, "cleanup.policy", "compact")}, map[string]string{"cleanup.policy": "compact"}, nil},
		{"subtract", orders, map[string]string{"cleanup.policy": "compact, delete"}, []ConfigOp{edit(OpSubtract, "cleanup.policy", "delete")}, map[string]string{"cleanup.policy": "compact"}, nil},
		{"append to no list", orders, nil, []ConfigOp{edit(OpAppend, "a", "1")}, nil, kerr.InvalidConfig},
		{"rules refuse", orders, nil, []ConfigOp{set("a", "large")}, nil, kerr.InvalidConfig},
		{"named twice", orders, nil, []ConfigOp{set("a", "1"), set("a", "2")}, nil, kerr.InvalidRequest},
		{"null value", orders, nil, []ConfigOp{{Name: "a"}}, nil, kerr.InvalidRequest},
		{"no name", all, nil, []ConfigOp{set("", "1")}, nil, kerr.InvalidRequest},
		{"unknown operation", orders, nil, []ConfigOp{edit(7, "a", "1")}, nil, kerr.InvalidRequest},
		{"subtract from no list", all, nil, []ConfigOp{edit(OpSubtract, "a", "1")}, nil, kerr.InvalidConfig},
		{"unknown topic", Resource{TopicResource, "no"}, nil, []ConfigOp{set("a", "1")}, nil, kerr.UnknownTopicOrPartition},
		{"unknown broker", Resource{BrokerResource, "9"}, nil, []ConfigOp{set("a", "1")}, nil, kerr.InvalidRequest},
		{"broker is no number", Resource{BrokerResource, "x"}, nil, []ConfigOp{set("a", "1")}, nil, kerr.InvalidRequest},
		{"unknown type", Resource{1, "x"}, nil, []ConfigOp{set("a", "1")}, nil, kerr.InvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			img := small()
			if len(tt.before) > 0 {
				img.apply(command{SetConfigs: &setConfigs{Resource: tt.r, Values: difference(nil, tt.before)}}, 0, map[part]struct{}{})
			}
			commands, err := decideConfigs(img, noLarge{}, tt.r, tt.ops)
			wantErr(t, err, tt.want)
			if tt.want != nil {
				return
			}
			for _, c := range commands {
				img.apply(c, 0, map[part]struct{}{})
			}
			got, _ := img.Configs(tt.r)
			if diff := cmp.Diff(tt.after, got); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideFeature(t *testing.T) {
	tests := []struct {
		rule  string
		name  string
		level int16
		want  error
		count int
	}{
		{"transaction.version 0 takes it off", TransactionVersion, 0, nil, 1},
		{"transaction.version 1", TransactionVersion, 1, nil, 1},
		{"the level it has", TransactionVersion, 2, nil, 0},
		{"above what is supported", TransactionVersion, 3, kerr.InvalidUpdateVersion, 0},
		{"metadata.version does not go down", MetadataVersion, 29, kerr.InvalidUpdateVersion, 0},
		{"unknown feature", "kraft.version", 1, kerr.InvalidUpdateVersion, 0},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			img := small()
			commands, err := decideFeature(img, tt.name, tt.level)
			wantErr(t, err, tt.want)
			if len(commands) != tt.count {
				t.Fatalf("got %d commands, want %d", len(commands), tt.count)
			}
			for _, c := range commands {
				img.apply(c, 0, map[part]struct{}{})
			}
			if tt.want == nil && img.Feature(tt.name) != tt.level {
				t.Errorf("got level %d, want %d", img.Feature(tt.name), tt.level)
			}
		})
	}
}
