package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var groupDeleteSubscribed = Case{
	ID:          "group/delete/3",
	Title:       "OffsetDelete leaves the offsets of topics that members subscribe to",
	Requirement: "KIP-496; GROUP_SUBSCRIBED_TO_TOPIC",
	Level:       Must,
	Needs:       []Need{api(keyOffsetDelete, 0)},
	Run: func(t *T) {
		used, other, group := t.oneLog(), t.oneLog(), t.newGroup()
		for _, p := range []partition{used, other} {
			t.mustCode("OffsetCommit", t.commitOffset(group, p, commitCall{offset: 4}), codeNone)
		}
		m := t.newMember(group, "")
		m.topics = []string{used.topic.name}
		m.alone()
		t.code("OffsetDelete of a topic that is read", t.deleteOffset(group, used), codeGroupSubscribed)
		t.code("OffsetDelete of another topic", t.deleteOffset(group, other), codeNone)
		t.equal("offset left", t.fetchOffset(group, used, true).offset, 4)
		t.equal("offset deleted", t.fetchOffset(group, other, true).offset, -1)
		t.code("LeaveGroup", m.leave(), codeNone)
		t.code("OffsetDelete once nobody reads", t.deleteOffset(group, used), codeNone)
		t.equal("offset deleted", t.fetchOffset(group, used, true).offset, -1)
	},
}

// deleteOffset asks OffsetDelete for one partition.
func (t *T) deleteOffset(group string, p partition) int16 {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	one := kmsg.NewOffsetDeleteRequestTopic()
	part := kmsg.NewOffsetDeleteRequestTopicPartition()
	part.Partition = p.index
	one.Topic, one.Partitions = p.topic.name, append(one.Partitions, part)
	req.Topics = append(req.Topics, one)
	return t.coordinate(groupCoordinator, group, func(node int32) int16 {
		resp := ask[*kmsg.OffsetDeleteResponse](t, node, req)
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return resp.ErrorCode
		}
		return resp.Topics[0].Partitions[0].ErrorCode
	})
}
