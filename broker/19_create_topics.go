package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/replication/cluster"
)

// CreateTopics: v2-7
//
//   - Answers once the topic is committed and its partitions have leaders, or
//     when the timeout ends: then the topic exists all the same.
//   - -1 partitions or replicas are the broker's defaults (KIP-464).
//   - Configs are never null: clients read them where there is no error.
//
// Versions: v4 defaults; v5 partitions and configs in the answer (KIP-525); v7
// topic id (KIP-516). Source: ReplicationControlManager.createTopics.
func (b *Broker) createTopics(ctx context.Context, req *kmsg.CreateTopicsRequest, resp *kmsg.CreateTopicsResponse) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.TimeoutMillis)*time.Millisecond)
	defer cancel()
	named := make(map[string]int, len(req.Topics))
	for _, t := range req.Topics {
		named[t.Topic]++
	}
	for _, t := range req.Topics {
		if named[t.Topic] == 0 {
			continue // a name that stands twice is refused once
		}
		answer := newTopicAnswer(t.Topic)
		var made cluster.Topic
		err := refuse(kerr.InvalidRequest, "Duplicate topic name.")
		if named[t.Topic] == 1 {
			made, err = b.createTopic(ctx, t, req.ValidateOnly)
		}
		named[t.Topic] = 0
		if err == nil {
			b.describeCreated(&answer, made)
		}
		answer.ErrorCode, answer.ErrorMessage = protocol.Code(err), protocol.Message(err)
		resp.Topics = append(resp.Topics, answer)
	}
	return nil
}

// newTopicAnswer is the answer for a topic that was not created.
func newTopicAnswer(name string) kmsg.CreateTopicsResponseTopic {
	answer := kmsg.NewCreateTopicsResponseTopic()
	answer.Topic, answer.NumPartitions, answer.ReplicationFactor = name, -1, -1
	answer.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
	return answer
}

// createTopic creates one topic, or judges whether it could be.
func (b *Broker) createTopic(ctx context.Context, t kmsg.CreateTopicsRequestTopic, validateOnly bool) (cluster.Topic, error) {
	spec := cluster.TopicSpec{
		Name: t.Topic, Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor,
		Configs: make(map[string]string, len(t.Configs)), ValidateOnly: validateOnly,
	}
	for _, c := range t.Configs {
		if c.Value == nil {
			return cluster.Topic{}, refuse(kerr.InvalidConfig, "Null value not supported for topic configs: %s", c.Name)
		}
		spec.Configs[c.Name] = *c.Value
	}
	assignments, err := assignmentsOf(t.ReplicaAssignment)
	if err != nil {
		return cluster.Topic{}, err
	}
	spec.Assignments = assignments
	return b.makeTopic(ctx, spec)
}

// assignmentsOf orders a manual assignment by partition: 0, 1, 2 ...
func assignmentsOf(given []kmsg.CreateTopicsRequestTopicReplicaAssignment) ([][]int32, error) {
	if len(given) == 0 {
		return nil, nil
	}
	assignments := make([][]int32, len(given))
	for _, a := range given {
		if a.Partition < 0 || int(a.Partition) >= len(given) || assignments[a.Partition] != nil {
			return nil, refuse(kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence, got %d of %d", a.Partition, len(given))
		}
		assignments[a.Partition] = a.Replicas
		if a.Replicas == nil {
			assignments[a.Partition] = []int32{}
		}
	}
	return assignments, nil
}

// makeTopic fills in the defaults, creates the topic and waits until its
// partitions can be used, as long as ctx lasts.
func (b *Broker) makeTopic(ctx context.Context, spec cluster.TopicSpec) (cluster.Topic, error) {
	if len(spec.Assignments) == 0 {
		if spec.Partitions == -1 {
			spec.Partitions = b.settings().numPartitions
		}
		if spec.ReplicationFactor == -1 {
			spec.ReplicationFactor = b.settings().replicationFactor
		}
	}
	made, err := b.metadata.CreateTopic(ctx, spec)
	if err != nil || spec.ValidateOnly {
		return made, err
	}
	return made, b.awaitTopic(ctx, made.ID, len(made.Partitions))
}

// describeCreated fills in what a created topic looks like.
func (b *Broker) describeCreated(answer *kmsg.CreateTopicsResponseTopic, made cluster.Topic) {
	answer.TopicID = made.ID
	answer.NumPartitions = int32(len(made.Partitions))
	answer.ReplicationFactor = int16(len(made.Partitions[0].Replicas))
	s := b.settings()
	for _, c := range describeTopic(made.Configs, s) {
		one := kmsg.NewCreateTopicsResponseTopicConfig()
		one.Name, one.Value, one.ReadOnly, one.Source, one.IsSensitive = c.Name, c.Value, c.ReadOnly, int8(c.Source), c.IsSensitive
		// As in Kafka, whose controller answers here: own values as they were given,
		// and the source of what log.retention.hours and the like say. Source: KafkaConfigSchema.
		if value, ok := made.Configs[c.Name]; ok {
			one.Value = &value
		} else if _, from, ok := s.topicDefault(topicKeys.byName[c.Name]); ok {
			one.Source = int8(from)
		}
		answer.Configs = append(answer.Configs, one)
	}
	if planted.Is(planted.NullConfigs) {
		answer.Configs = nil
	}
}
