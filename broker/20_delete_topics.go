package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
)

// DeleteTopics: v1-6
//
//   - By name, or from v6 by topic id; an id is never used again.
//   - delete.topic.enable=false refuses all with TOPIC_DELETION_DISABLED, or
//     INVALID_REQUEST below v3.
//
// Versions: v5 error message (KIP-599); v6 topic ids (KIP-516). Source:
// ControllerApis.deleteTopics.
func (b *Broker) deleteTopics(ctx context.Context, req *kmsg.DeleteTopicsRequest, resp *kmsg.DeleteTopicsResponse) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.TimeoutMillis)*time.Millisecond)
	defer cancel()
	asked := req.Topics
	for i := range req.TopicNames { // before v6
		one := kmsg.NewDeleteTopicsRequestTopic()
		one.Topic = &req.TopicNames[i]
		asked = append(asked, one)
	}
	named := make(map[topicKey]int, len(asked))
	for _, t := range asked {
		named[keyOf(t)]++
	}
	for _, t := range asked {
		key := keyOf(t)
		if named[key] == 0 {
			continue // what stands twice is refused once
		}
		answer := kmsg.NewDeleteTopicsResponseTopic()
		answer.Topic, answer.TopicID = t.Topic, t.TopicID
		err := b.deletionAllowed(req.Version)
		switch {
		case err != nil:
		case named[key] > 1:
			err = refuse(kerr.InvalidRequest, "Duplicate topic name.")
		default:
			err = b.deleteTopic(ctx, t, &answer)
		}
		named[key] = 0
		answer.ErrorCode, answer.ErrorMessage = protocol.Code(err), protocol.Message(err)
		resp.Topics = append(resp.Topics, answer)
	}
	return nil
}

// A topicKey is how a request names a topic.
type topicKey struct {
	name string
	id   [16]byte
}

func keyOf(t kmsg.DeleteTopicsRequestTopic) topicKey {
	key := topicKey{id: t.TopicID}
	if t.Topic != nil {
		key.name = *t.Topic
	}
	return key
}

func (b *Broker) deletionAllowed(version int16) error {
	switch {
	case b.settings().deleteTopics:
		return nil
	case version < 3:
		return refuse(kerr.InvalidRequest, "This version does not support topic deletion being disabled.")
	}
	return kerr.TopicDeletionDisabled
}

// deleteTopic deletes one topic and completes its answer with name and id.
func (b *Broker) deleteTopic(ctx context.Context, t kmsg.DeleteTopicsRequestTopic, answer *kmsg.DeleteTopicsResponseTopic) error {
	found, err := b.named(t)
	if err != nil {
		return err
	}
	answer.Topic, answer.TopicID = &found.Name, found.ID
	if err := b.metadata.DeleteTopic(ctx, found.ID); err != nil {
		return err
	}
	return b.topics.settle(ctx)
}

// named finds the topic that a deletion names, by exactly one of name and id.
func (b *Broker) named(t kmsg.DeleteTopicsRequestTopic) (*cluster.Topic, error) {
	var none [16]byte
	switch {
	case t.Topic != nil && t.TopicID != none:
		return nil, refuse(kerr.InvalidRequest, "You may not specify both topic name and topic id.")
	case t.Topic != nil:
		if found, ok := b.image().Topic(*t.Topic); ok {
			return found, nil
		}
		return nil, unknownTopic(*t.Topic)
	case t.TopicID == none:
		return nil, refuse(kerr.InvalidRequest, "Neither topic name nor id were specified.")
	}
	if found, ok := b.image().TopicByID(t.TopicID); ok {
		return found, nil
	}
	return nil, kerr.UnknownTopicID
}
