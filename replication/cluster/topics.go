package cluster

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	// MetadataTopic is the name of the topic that holds the metadata itself.
	MetadataTopic = "__cluster_metadata"

	// maxNameLength of a topic. Source: org.apache.kafka.common.internals.Topic.
	maxNameLength = 249
	// maxPartitions that one request may create. Source:
	// ReplicationControlManager.MAX_PARTITIONS_PER_BATCH.
	maxPartitions = 10_000
)

// A TopicSpec asks for a topic.
type TopicSpec struct {
	Name string
	// Partitions and ReplicationFactor, -1 for the defaults. Both are -1 when
	// Assignments are given.
	Partitions        int32
	ReplicationFactor int16
	// Assignments are the replicas of each partition, the preferred leader first.
	Assignments [][]int32
	Configs     map[string]string
	// ValidateOnly judges and changes nothing.
	ValidateOnly bool
}

// given is what deciding may not take from the world itself: the leader puts it
// into the command.
type given struct {
	id     UUID
	time   int64 // ms of the Unix epoch
	random int   // >= 0; where placement begins
	// fenced are the brokers that are silent: what is new is not placed on them if it
	// can be elsewhere.
	fenced map[int32]bool
}

// internalTopics are Kafka's. Source: org.apache.kafka.common.internals.Topic.
var internalTopics = []string{"__consumer_offsets", "__transaction_state", "__share_group_state"}

// IsInternal says whether a name is that of a topic of coordinators.
func IsInternal(name string) bool { return slices.Contains(internalTopics, name) }

// CheckTopicName says whether a topic may have this name.
//
// Errors: INVALID_TOPIC_EXCEPTION. Source: Topic.validate.
func CheckTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("topic name is empty: %w", kerr.InvalidTopicException)
	case name == "." || name == "..":
		return fmt.Errorf("topic name cannot be \".\" or \"..\": %w", kerr.InvalidTopicException)
	case len(name) > maxNameLength:
		return fmt.Errorf("topic name has %d characters, at most %d are allowed: %w", len(name), maxNameLength, kerr.InvalidTopicException)
	}
	for _, r := range name {
		if !nameRune(r) {
			return fmt.Errorf("topic name %q holds %q; allowed are ASCII letters, digits, '.', '_' and '-': %w", name, r, kerr.InvalidTopicException)
		}
	}
	return nil
}

func nameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-'
}

// collision finds a topic whose name differs only by '.' and '_', which would
// make their metrics one. Source: Topic.hasCollision.
func collision(img *Image, name string) (other string, found bool) {
	if !strings.ContainsAny(name, "._") {
		return "", false
	}
	same := strings.ReplaceAll(name, ".", "_")
	for have := range img.topics {
		if len(have) == len(name) && strings.ReplaceAll(have, ".", "_") == same {
			return have, true
		}
	}
	return "", false
}

// decideTopic decides the creation of a topic, and what it would be.
//
// Errors: INVALID_TOPIC_EXCEPTION, TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS,
// INVALID_REPLICATION_FACTOR, INVALID_REPLICA_ASSIGNMENT, INVALID_REQUEST,
// POLICY_VIOLATION, and those of the rules. Source: ReplicationControlManager.
func decideTopic(img *Image, spec TopicSpec, rules ConfigRules, in given) (Topic, error) {
	if spec.Name == MetadataTopic {
		return Topic{}, fmt.Errorf("creation of internal topic %s is prohibited: %w", MetadataTopic, kerr.InvalidRequest)
	}
	if err := CheckTopicName(spec.Name); err != nil {
		return Topic{}, err
	}
	if _, ok := img.Topic(spec.Name); ok {
		return Topic{}, fmt.Errorf("topic %q already exists: %w", spec.Name, kerr.TopicAlreadyExists)
	}
	if other, ok := collision(img, spec.Name); ok {
		return Topic{}, fmt.Errorf("topic %q collides with existing topic %q: %w", spec.Name, other, kerr.InvalidTopicException)
	}
	if _, dead := img.Dead(in.id); dead || img.ids[in.id] != nil {
		return Topic{}, fmt.Errorf("topic id %s was used before: %w", in.id, kerr.UnknownServerError)
	}
	if err := rules.Validate(Resource{TopicResource, spec.Name}, spec.Configs); err != nil {
		return Topic{}, err
	}
	partitions, err := decidePartitions(img, spec, in)
	if err != nil {
		return Topic{}, err
	}
	return Topic{
		Name: spec.Name, ID: in.id, Internal: IsInternal(spec.Name), Created: in.time,
		Configs: spec.Configs, Partitions: partitions,
	}, nil
}

// decidePartitions places the partitions of a new topic.
func decidePartitions(img *Image, spec TopicSpec, in given) ([]Partition, error) {
	if len(spec.Assignments) > 0 {
		switch {
		case spec.ReplicationFactor != -1:
			return nil, fmt.Errorf("replication factor %d beside a manual assignment: %w", spec.ReplicationFactor, kerr.InvalidRequest)
		case spec.Partitions != -1:
			return nil, fmt.Errorf("%d partitions beside a manual assignment: %w", spec.Partitions, kerr.InvalidRequest)
		}
		return assigned(img, 0, spec.Assignments, len(spec.Assignments[0]), in)
	}
	switch {
	case spec.ReplicationFactor <= 0:
		return nil, fmt.Errorf("replication factor %d, want more than 0, or -1 for the default: %w", spec.ReplicationFactor, kerr.InvalidReplicationFactor)
	case spec.Partitions <= 0:
		return nil, fmt.Errorf("%d partitions, want more than 0, or -1 for the default: %w", spec.Partitions, kerr.InvalidPartitions)
	}
	return place(img, 0, int(spec.Partitions), int(spec.ReplicationFactor), in)
}

// decideDelete decides the end of a topic; its id stays dead (hard-36).
//
// Errors: UNKNOWN_TOPIC_ID; INVALID_TOPIC_EXCEPTION for an internal topic, whose
// coordinator epochs must never begin again (hard-38).
func decideDelete(img *Image, id UUID, time int64) ([]command, error) {
	topic, ok := img.TopicByID(id)
	switch {
	case !ok:
		return nil, fmt.Errorf("topic id %s: %w", id, kerr.UnknownTopicID)
	case topic.Internal:
		return nil, fmt.Errorf("internal topic %s cannot be deleted: %w", topic.Name, kerr.InvalidTopicException)
	}
	return []command{{DeleteTopic: &deleteTopic{ID: id, Time: time}}}, nil
}

// decideGrow decides that a topic has count partitions from now on.
//
// Errors: UNKNOWN_TOPIC_ID, INVALID_PARTITIONS, INVALID_REPLICA_ASSIGNMENT,
// POLICY_VIOLATION; INVALID_REQUEST for an internal topic, since the number of
// its partitions says which coordinator a group or transactional id belongs to.
// Source: ReplicationControlManager.createPartitions.
func decideGrow(img *Image, id UUID, count int32, assignments [][]int32, in given) ([]Partition, error) {
	topic, ok := img.TopicByID(id)
	if !ok {
		return nil, fmt.Errorf("topic id %s: %w", id, kerr.UnknownTopicID)
	}
	have := len(topic.Partitions)
	switch {
	case topic.Internal:
		return nil, fmt.Errorf("internal topic %s keeps its %d partitions: %w", topic.Name, have, kerr.InvalidRequest)
	case int(count) == have:
		return nil, fmt.Errorf("topic already has %d partition(s): %w", have, kerr.InvalidPartitions)
	case int(count) < have:
		return nil, fmt.Errorf("topic %s has %d partition(s), %d would not be an increase: %w", topic.Name, have, count, kerr.InvalidPartitions)
	}
	added, replicas := int(count)-have, len(topic.Partitions[0].Replicas)
	if len(assignments) == 0 {
		return place(img, have, added, min(replicas, math.MaxInt16), in)
	}
	if len(assignments) != added {
		return nil, fmt.Errorf("%d assignments for %d added partition(s): %w", len(assignments), added, kerr.InvalidReplicaAssignment)
	}
	return assigned(img, have, assignments, replicas, in)
}
