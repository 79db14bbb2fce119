package group

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication/shard"
)

// OffsetDelete removes offsets of partitions that no member consumes.
//
// Errors: InvalidGroupID, GroupIDNotFound, NonEmptyGroup and those of the shard
// for the whole; per partition GroupSubscribedToTopic, UnknownTopicOrPartition.
func (c *Coordinator) OffsetDelete(ctx context.Context, req *kmsg.OffsetDeleteRequest, resp *kmsg.OffsetDeleteResponse) error {
	if req.Group == "" {
		resp.ErrorCode = kerr.InvalidGroupID.Code
		return nil
	}
	answers := make([]kmsg.OffsetDeleteResponseTopic, len(req.Topics))
	err := c.update(ctx, req.Group, func(v *view, now time.Time) (shard.Write, error) {
		g := v.groups[req.Group]
		if g == nil {
			return shard.Write{}, kerr.GroupIDNotFound
		}
		if err := g.checkOffsetDelete(); err != nil {
			return shard.Write{}, err
		}
		var records []record.Record
		for i, asked := range req.Topics {
			records = append(records, c.deleteOffsets(v, g, asked, &answers[i], now)...)
		}
		return shard.Write{Records: records}, nil
	})
	if err != nil {
		resp.ErrorCode = c.wire(err).Code
		return nil
	}
	resp.Topics = answers
	return nil
}

// deleteOffsets answers one topic of an OffsetDelete and returns its tombstones.
func (c *Coordinator) deleteOffsets(v *view, g *group, asked kmsg.OffsetDeleteRequestTopic, answer *kmsg.OffsetDeleteResponseTopic, now time.Time) []record.Record {
	*answer = kmsg.NewOffsetDeleteResponseTopic()
	answer.Topic = asked.Topic
	_, _, count, unknown := c.topic(asked.Topic, [16]byte{}, false)
	var records []record.Record
	for _, a := range asked.Partitions {
		p := partition{asked.Topic, a.Partition}
		one := kmsg.NewOffsetDeleteResponseTopicPartition()
		one.Partition = a.Partition
		_, stable := v.offsets.stable[g.id][p]
		switch {
		case unknown != nil || p.index < 0 || p.index >= count:
			one.ErrorCode = kerr.UnknownTopicOrPartition.Code
		case g.subscribes(asked.Topic):
			one.ErrorCode = kerr.GroupSubscribedToTopic.Code
		case stable || v.offsets.isPending(g.id, p):
			records = append(records, offsetTombstone(g.id, p, now))
		}
		answer.Partitions = append(answer.Partitions, one)
	}
	return records
}

// DeleteGroups deletes groups that nobody is in, with all their offsets.
//
// Errors, per group: GroupIDNotFound, NonEmptyGroup and those of the shard.
func (c *Coordinator) DeleteGroups(ctx context.Context, req *kmsg.DeleteGroupsRequest, resp *kmsg.DeleteGroupsResponse) error {
	seen := map[string]bool{}
	for _, id := range req.Groups {
		if seen[id] {
			continue
		}
		seen[id] = true
		answer := kmsg.NewDeleteGroupsResponseGroup()
		answer.Group = id
		if err := c.deleteGroup(ctx, id); err != nil {
			known := c.wire(err)
			answer.ErrorCode = known.Code
			answer.ErrorMessage = &known.Description
		}
		resp.Groups = append(resp.Groups, answer)
	}
	return nil
}

func (c *Coordinator) deleteGroup(ctx context.Context, id string) error {
	s, err := c.of(id)
	if err != nil {
		return err
	}
	all := sweep{doomed: func(*group, partition, committed) bool { return true }}
	found := false
	err = s.removeFrom(ctx, id, func(v *view, g *group) ([]record.Record, bool, error) {
		found = true
		if err := g.checkDelete(); err != nil {
			return nil, false, err
		}
		now := time.Now()
		records, more := all.tombstones(v, g, now)
		if !more {
			// Even if the log holds none: it says that the group was deleted.
			records = append(records, metadataTombstone(id, now))
		}
		return records, more, nil
	})
	if err == nil && !found {
		return kerr.GroupIDNotFound
	}
	return err
}
