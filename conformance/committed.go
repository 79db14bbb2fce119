package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

// A committedOffset is one offset of a group as OffsetFetch tells it; an offset
// that was never committed is -1.
type committedOffset struct {
	offset   int64
	epoch    int32
	metadata string
	code     int16
}

// A commitCall is one OffsetCommit of one partition. Without a member it is
// what a consumer outside of group management sends.
type commitCall struct {
	version  *int16
	member   *member
	offset   int64
	epoch    int32
	metadata string
}

// commitOffset commits one offset of a group once.
func (t *T) commitOffset(group string, p partition, c commitCall) int16 {
	req := kmsg.NewPtrOffsetCommitRequest()
	limit := int16(-1)
	if c.version != nil {
		limit = *c.version
	}
	req.Version = t.newest(req, limit)
	req.Group, req.Generation = group, -1
	if c.member != nil {
		req.Generation, req.MemberID, req.InstanceID = c.member.generation, c.member.id, c.member.instance
	}
	one := kmsg.NewOffsetCommitRequestTopic()
	one.Topic, one.TopicID = p.topic.name, p.topic.id
	part := kmsg.NewOffsetCommitRequestTopicPartition()
	part.Partition, part.Offset, part.LeaderEpoch, part.Metadata = p.index, c.offset, c.epoch, &c.metadata
	one.Partitions = append(one.Partitions, part)
	req.Topics = append(req.Topics, one)
	return t.coordinate(groupCoordinator, group, func(node int32) int16 {
		resp := ask[*kmsg.OffsetCommitResponse](t, node, req)
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			t.fatalf("OffsetCommit", "1 partition answered", "%d topics", len(resp.Topics))
		}
		return resp.Topics[0].Partitions[0].ErrorCode
	})
}

// fetchOffset asks for one offset of a group; stable is RequireStable.
func (t *T) fetchOffset(group string, p partition, stable bool) committedOffset {
	return t.fetchOffsetAt(-1, group, p, stable)
}

// fetchOffsetAt asks at a version, negative for the newest.
func (t *T) fetchOffsetAt(version int16, group string, p partition, stable bool) committedOffset {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = t.newest(req, version)
	req.RequireStable = stable
	var c committedOffset
	if req.Version < 8 {
		one := kmsg.NewOffsetFetchRequestTopic()
		one.Topic, one.Partitions = p.topic.name, []int32{p.index}
		req.Group, req.Topics = group, append(req.Topics, one)
	} else {
		one := kmsg.NewOffsetFetchRequestGroupTopic()
		one.Topic, one.TopicID, one.Partitions = p.topic.name, p.topic.id, []int32{p.index}
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group, g.Topics = group, append(g.Topics, one)
		req.Groups = append(req.Groups, g)
	}
	t.coordinate(groupCoordinator, group, func(node int32) int16 {
		var code int16
		c, code = t.readOffset(ask[*kmsg.OffsetFetchResponse](t, node, req))
		return code
	})
	return c
}

// readOffset is the one partition of an answer and the code of the group.
func (t *T) readOffset(resp *kmsg.OffsetFetchResponse) (committedOffset, int16) {
	code, topics := resp.ErrorCode, 0
	var c committedOffset
	for _, tp := range resp.Topics {
		for _, p := range tp.Partitions {
			topics++
			c = committedOffset{p.Offset, p.LeaderEpoch, text(p.Metadata), p.ErrorCode}
		}
	}
	for _, g := range resp.Groups {
		code = g.ErrorCode
		for _, tp := range g.Topics {
			for _, p := range tp.Partitions {
				topics++
				c = committedOffset{p.Offset, p.LeaderEpoch, text(p.Metadata), p.ErrorCode}
			}
		}
	}
	if code != codeNone {
		return committedOffset{offset: -1, code: code}, code
	}
	if topics != 1 {
		t.fatalf("OffsetFetch", "1 partition answered", "%d partitions", topics)
	}
	return c, c.code
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// commitOffset asks TxnOffsetCommit once, at a version of 0-5, on behalf of a
// group member or of none.
func (p *producer) commitOffset(version int16, group string, part partition, offset int64, m *member) int16 {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version = p.t.newest(req, min(version, 5))
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = p.txid, group, p.id, p.epoch
	req.Generation = -1
	if m != nil {
		req.Generation, req.MemberID, req.InstanceID = m.generation, m.id, m.instance
	}
	one := kmsg.NewTxnOffsetCommitRequestTopic()
	one.Topic = part.topic.name
	op := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	op.Partition, op.Offset = part.index, offset
	one.Partitions = append(one.Partitions, op)
	req.Topics = append(req.Topics, one)
	return p.t.coordinate(groupCoordinator, group, func(node int32) int16 {
		resp := ask[*kmsg.TxnOffsetCommitResponse](p.t, node, req)
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			p.t.fatalf("TxnOffsetCommit", "1 partition answered", "%d topics", len(resp.Topics))
		}
		return resp.Topics[0].Partitions[0].ErrorCode
	})
}

// addOffset puts one offset of a group into the transaction; it must succeed.
func (p *producer) addOffset(group string, part partition, offset int64, m *member) {
	version := int16(5)
	if p.tv == 1 {
		version = 4
		code := p.t.settle("AddOffsetsToTxn", isTransactionEnding, func() int16 { return p.addOffsets(4, group) })
		p.t.mustCode("AddOffsetsToTxn", code, codeNone)
	}
	code := p.t.settle("TxnOffsetCommit", isTransactionEnding, func() int16 { return p.commitOffset(version, group, part, offset, m) })
	p.t.mustCode("TxnOffsetCommit", code, codeNone)
}
