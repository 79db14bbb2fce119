package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
	"github.com/twmb/franz-go/pkg/kerr"
)

// ensureInternal makes an internal topic unless it exists, and waits, bounded,
// until this node serves its partitions.
//
// Errors: COORDINATOR_NOT_AVAILABLE.
func (b *Broker) ensureInternal(ctx context.Context, name string) error {
	if t, ok := b.topics.load().byName(name); ok && t.whole(b.nodeID()) {
		return nil
	}
	made, err := b.makeInternal(ctx, name)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, settleTime)
		defer cancel()
		err = b.awaitServed(ctx, made.ID, len(made.Partitions))
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", name, kerr.CoordinatorNotAvailable, err)
	}
	return nil
}

// makeInternal creates the topic, or returns it when somebody was faster.
func (b *Broker) makeInternal(ctx context.Context, name string) (cluster.Topic, error) {
	if t, ok := b.image().Topic(name); ok {
		return *t, nil
	}
	s := b.settings()
	spec := cluster.TopicSpec{Name: name, Configs: map[string]string{"cleanup.policy": "compact"}}
	switch name {
	case offsetsTopic:
		spec.Partitions, spec.ReplicationFactor = s.offsetsPartitions, s.offsetsReplication
		spec.Configs["compression.type"] = "producer"
		spec.Configs["segment.bytes"] = strconv.Itoa(int(s.offsetsSegmentBytes))
	case txnTopic:
		spec.Partitions, spec.ReplicationFactor = s.txnPartitions, s.txnReplication
		spec.Configs["compression.type"] = "uncompressed"
		spec.Configs["unclean.leader.election.enable"] = "false"
		spec.Configs["min.insync.replicas"] = strconv.Itoa(int(s.txnMinISR))
		spec.Configs["segment.bytes"] = strconv.Itoa(int(s.txnSegmentBytes))
	default:
		return cluster.Topic{}, fmt.Errorf("%s is no internal topic: %w", name, kerr.InvalidRequest)
	}
	// A voter that is still to register counts: the topic waits for it rather than be short of a replica for ever.
	spec.ReplicationFactor = min(spec.ReplicationFactor, int16(max(len(b.image().Brokers()), len(b.plan.voters))))
	made, err := b.metadata.CreateTopic(ctx, spec)
	if protocol.Code(err) == kerr.TopicAlreadyExists.Code {
		if t, ok := b.image().Topic(name); ok {
			return *t, nil
		}
	}
	return made, err
}

// existing turns "it exists" into nil.
func existing(err error) error {
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}

// configRules is what the metadata asks about configurations.
type configRules struct{ b *Broker }

// Validate judges all dynamic values that a topic or a broker would have.
func (r configRules) Validate(resource cluster.Resource, values map[string]string) error {
	if resource.Type == cluster.TopicResource {
		return checkTopicConfigs(values, r.b.settings())
	}
	return checkBrokerConfigs(values, r.b.settings(), resource.Name != "")
}

// List says whether a configuration is a list, and the one in force where the
// resource sets none.
func (r configRules) List(resource cluster.Resource, name string) (string, bool) {
	s := r.b.settings()
	if resource.Type == cluster.TopicResource {
		k := topicKeys.byName[name]
		if k == nil || k.typ != typeList {
			return "", false
		}
		if value, _, ok := s.topicDefault(k); ok {
			return value, true
		}
		return k.def, true
	}
	k := brokerKeys.byName[name]
	if k == nil || k.typ != typeList {
		return "", false
	}
	if value, _, ok := s.set(name); ok {
		return value, true
	}
	return k.def, true
}
