package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
)

// CreatePartitions: v0-3
//
//   - Raises the number of a topic's partitions to Count; it never falls.
//   - Answers once the new partitions have leaders, or when the timeout ends.
//
// Versions: v2 flexible; v3 quota error (KIP-599). Source:
// ReplicationControlManager.createPartitions.
func (b *Broker) createPartitions(ctx context.Context, req *kmsg.CreatePartitionsRequest, resp *kmsg.CreatePartitionsResponse) error {
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
		answer := kmsg.NewCreatePartitionsResponseTopic()
		answer.Topic = t.Topic
		err := refuse(kerr.InvalidRequest, "Duplicate topic name.")
		if named[t.Topic] == 1 {
			err = b.growTopic(ctx, t, req.ValidateOnly)
		}
		named[t.Topic] = 0
		answer.ErrorCode, answer.ErrorMessage = protocol.Code(err), protocol.Message(err)
		resp.Topics = append(resp.Topics, answer)
	}
	return nil
}

// growTopic adds partitions to one topic and waits for their leaders.
func (b *Broker) growTopic(ctx context.Context, t kmsg.CreatePartitionsRequestTopic, validateOnly bool) error {
	topic, ok := b.image().Topic(t.Topic)
	if !ok {
		return unknownTopic(t.Topic)
	}
	var assignments [][]int32
	for _, a := range t.Assignment {
		assignments = append(assignments, a.Replicas)
	}
	if err := b.metadata.AddPartitions(ctx, topic.ID, t.Count, assignments, validateOnly); err != nil || validateOnly {
		return err
	}
	return b.awaitTopic(ctx, topic.ID, int(t.Count))
}
