package broker

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
)

// DescribeTopicPartitions: v0
//
//   - Topics in the order of their names, a page at a time: the cursor of one
//     answer, sent with the next request, goes on where it ended (KIP-966).
//   - No list of topics means all; then topics that are not there are none.
//   - Nothing is created by asking.
//   - The lists of eligible leader replicas are empty and never null, which
//     Java's AdminClient does not bear.
//
// Errors: INVALID_REQUEST, at each topic asked for, where the cursor names no
// partition or none of these topics. Source: DescribeTopicPartitionsRequestHandler.
func (b *Broker) describeTopicPartitions(ctx context.Context, req *kmsg.DescribeTopicPartitionsRequest, resp *kmsg.DescribeTopicPartitionsResponse) error {
	set := b.topics.load()
	names, first, err := topicsFrom(req, set)
	if err != nil { // the answer has no error code of its own
		for _, t := range req.Topics {
			answer := kmsg.NewDescribeTopicPartitionsResponseTopic()
			answer.Topic, answer.ErrorCode = &t.Topic, protocol.Code(err)
			resp.Topics = append(resp.Topics, answer)
		}
		return nil
	}
	room := max(min(int(set.settings.maxPartitionsPerPage), int(req.ResponsePartitionLimit)), 1)
	for _, name := range names {
		if room == 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name}
			return nil
		}
		t, ok := set.byName(name)
		if !ok {
			if len(req.Topics) > 0 {
				resp.Topics = append(resp.Topics, noSuchTopic(name))
			}
			continue
		}
		answer, next := b.describePartitions(ctx, t, first(name), room)
		resp.Topics = append(resp.Topics, answer)
		if next < len(t.partitions) {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: int32(next)}
			return nil
		}
		room -= len(answer.Partitions)
	}
	return nil
}

// topicsFrom lists the topics that remain to be described, in order, and the
// first partition that remains of each.
func topicsFrom(req *kmsg.DescribeTopicPartitionsRequest, set *topicSet) (names []string, first func(name string) int, err error) {
	from, at := "", 0
	if c := req.Cursor; c != nil {
		if c.Partition < 0 {
			return nil, nil, refuse(kerr.InvalidRequest, "cursor at partition %d of topic %s, want 0 or more", c.Partition, c.Topic)
		}
		from, at = c.Topic, int(c.Partition)
	}
	if len(req.Topics) == 0 {
		names = slices.Collect(maps.Keys(set.names))
	}
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	if req.Cursor != nil && len(req.Topics) > 0 && !slices.Contains(names, from) {
		return nil, nil, refuse(kerr.InvalidRequest, "cursor at topic %s, want one of the topics asked for", from)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return strings.Compare(name, from) < 0 })
	slices.Sort(names)
	return slices.Compact(names), func(name string) int {
		if name == from {
			return at
		}
		return 0
	}, nil
}

func noSuchTopic(name string) kmsg.DescribeTopicPartitionsResponseTopic {
	answer := kmsg.NewDescribeTopicPartitionsResponseTopic()
	answer.Topic, answer.IsInternal, answer.AuthorizedOperations = &name, cluster.IsInternal(name), topicOperations
	answer.ErrorCode = kerr.UnknownTopicOrPartition.Code
	if err := cluster.CheckTopicName(name); err != nil {
		answer.ErrorCode = protocol.Code(err)
	}
	return answer
}

// describePartitions describes up to count partitions of a topic; next is the
// first that it left out.
func (b *Broker) describePartitions(ctx context.Context, t *topic, first, count int) (answer kmsg.DescribeTopicPartitionsResponseTopic, next int) {
	answer = kmsg.NewDescribeTopicPartitionsResponseTopic()
	answer.Topic, answer.TopicID, answer.IsInternal, answer.AuthorizedOperations = &t.Name, t.ID, t.Internal, topicOperations
	elsewhere := b.elsewhere(ctx, t)
	for next = first; next < min(len(t.partitions), first+count); next++ {
		state := b.stateOf(t, next, elsewhere)
		one := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		one.Partition, one.LeaderID, one.LeaderEpoch = int32(next), state.leader, state.epoch
		one.Replicas, one.ISR, one.OfflineReplicas = state.replicas, state.inSync, state.offline
		one.EligibleLeaderReplicas, one.LastKnownELR = []int32{}, []int32{}
		answer.Partitions = append(answer.Partitions, one)
	}
	return answer, next
}
