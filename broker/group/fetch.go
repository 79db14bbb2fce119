package group

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/planted"
)

// OffsetFetch returns the committed offsets of one group (v1-7) or several (v8+):
// of the partitions asked for, or of all when topics are null. An unknown group
// has none; that is no error.
//
// Errors, per group: those of the shard; per partition: UnstableOffsetCommit when
// RequireStable is set and a transaction is open there (KIP-447), UnknownTopicID (v10).
func (c *Coordinator) OffsetFetch(ctx context.Context, req *kmsg.OffsetFetchRequest, resp *kmsg.OffsetFetchResponse) error {
	if req.Version >= 8 {
		for _, asked := range req.Groups {
			resp.Groups = append(resp.Groups, c.fetchGroup(ctx, asked, req.RequireStable, req.Version >= 10))
		}
		return ctx.Err()
	}
	asked := kmsg.NewOffsetFetchRequestGroup()
	asked.Group = req.Group
	if req.Topics != nil {
		asked.Topics = make([]kmsg.OffsetFetchRequestGroupTopic, len(req.Topics))
	}
	for i, t := range req.Topics {
		asked.Topics[i].Topic, asked.Topics[i].Partitions = t.Topic, t.Partitions
	}
	got := c.fetchGroup(ctx, asked, req.RequireStable, false)
	if got.ErrorCode != 0 && req.Version < 2 {
		got.Topics = refuseFetch(asked, got.ErrorCode) // version 1 has no other place for it
	} else {
		resp.ErrorCode = got.ErrorCode
	}
	for _, t := range got.Topics {
		topic := kmsg.NewOffsetFetchResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			one := kmsg.NewOffsetFetchResponseTopicPartition()
			one.Partition, one.Offset, one.LeaderEpoch, one.Metadata, one.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
			topic.Partitions = append(topic.Partitions, one)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return ctx.Err()
}

// refuseFetch answers every partition asked for with an error.
func refuseFetch(asked kmsg.OffsetFetchRequestGroup, code int16) []kmsg.OffsetFetchResponseGroupTopic {
	var topics []kmsg.OffsetFetchResponseGroupTopic
	for _, t := range asked.Topics {
		topic := kmsg.NewOffsetFetchResponseGroupTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, index := range t.Partitions {
			p := noOffset(index)
			p.ErrorCode = code
			topic.Partitions = append(topic.Partitions, p)
		}
		topics = append(topics, topic)
	}
	return topics
}

// noOffset is the answer for a partition without a committed offset.
func noOffset(index int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = index, -1, -1, new("")
	return p
}

func (c *Coordinator) fetchGroup(ctx context.Context, asked kmsg.OffsetFetchRequestGroup, requireStable, byID bool) kmsg.OffsetFetchResponseGroup {
	answer := kmsg.NewOffsetFetchResponseGroup()
	answer.Group = asked.Group
	s, err := c.of(asked.Group)
	if err == nil {
		err = s.shard.Answer(ctx, func(v *view) {
			f := fetch{c: c, v: v, group: asked.Group, requireStable: requireStable, byID: byID}
			if asked.Topics == nil {
				answer.Topics = f.all()
			} else {
				answer.Topics = f.some(asked.Topics)
			}
		})
	}
	if err != nil {
		answer.ErrorCode = c.wire(err).Code
	}
	return answer
}

// A fetch reads the offsets of one group, under the view lock.
type fetch struct {
	c             *Coordinator
	v             *view
	group         string
	requireStable bool
	byID          bool
}

// some answers the partitions asked for, in their order.
func (f fetch) some(asked []kmsg.OffsetFetchRequestGroupTopic) []kmsg.OffsetFetchResponseGroupTopic {
	topics := make([]kmsg.OffsetFetchResponseGroupTopic, 0, len(asked))
	for _, t := range asked {
		topic := kmsg.NewOffsetFetchResponseGroupTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		name, known := t.Topic, true
		if f.byID {
			name, _, known = f.c.config.Topics.ByID(t.TopicID)
		}
		topic.Partitions = make([]kmsg.OffsetFetchResponseGroupTopicPartition, 0, len(t.Partitions))
		for _, index := range t.Partitions {
			p := noOffset(index)
			if known {
				p = f.one(partition{name, index}, t.TopicID)
			} else {
				p.ErrorCode = kerr.UnknownTopicID.Code
			}
			topic.Partitions = append(topic.Partitions, p)
		}
		topics = append(topics, topic)
	}
	return topics
}

// all answers every partition with a committed offset, in order of topic and partition.
func (f fetch) all() []kmsg.OffsetFetchResponseGroupTopic {
	topics := []kmsg.OffsetFetchResponseGroupTopic{}
	partitions := make([]partition, 0, len(f.v.offsets.stable[f.group]))
	for p, o := range f.v.offsets.stable[f.group] {
		if !f.outdated(o, [16]byte{}) {
			partitions = append(partitions, p)
		}
	}
	slices.SortFunc(partitions, func(a, b partition) int {
		if n := strings.Compare(a.topic, b.topic); n != 0 {
			return n
		}
		return int(a.index) - int(b.index)
	})
	for _, p := range partitions {
		if n := len(topics); n == 0 || topics[n-1].Topic != p.topic {
			topic := kmsg.NewOffsetFetchResponseGroupTopic()
			topic.Topic = p.topic
			if f.byID {
				id, _, ok := f.c.config.Topics.ByName(p.topic)
				if !ok {
					continue // the topic has no id to be named by
				}
				topic.TopicID = id
			}
			topics = append(topics, topic)
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, f.one(p, last.TopicID))
	}
	return topics
}

// one answers one partition of a topic; id is zero when it was asked by name.
func (f fetch) one(p partition, id [16]byte) kmsg.OffsetFetchResponseGroupTopicPartition {
	answer := noOffset(p.index)
	if f.requireStable && !planted.Is(planted.StableUnread) && f.v.offsets.isPending(f.group, p) {
		answer.ErrorCode = kerr.UnstableOffsetCommit.Code
		return answer
	}
	o, ok := f.v.offsets.stable[f.group][p]
	if !ok || f.outdated(o, id) {
		return answer
	}
	answer.Offset, answer.LeaderEpoch, answer.Metadata = o.offset, o.leaderEpoch, &o.metadata
	return answer
}

// outdated says that an offset was committed for an older topic of the same
// name (hard-36). A name alone is believed to mean the offset's topic unless
// that is known to be deleted: the metadata here may be behind.
func (f fetch) outdated(o committed, asked [16]byte) bool {
	var none [16]byte
	if o.topicID == none {
		return false
	}
	return asked != none && asked != o.topicID || f.c.config.Topics.Deleted(o.topicID)
}
