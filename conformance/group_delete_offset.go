package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var groupDeleteOffset = Case{
	ID:          "group/delete/2",
	Title:       "OffsetDelete takes away one partition's offset of a group",
	Requirement: "KIP-496",
	Level:       Must,
	Needs:       []Need{api(keyOffsetDelete, 0)},
	Run: func(t *T) {
		tp, group := t.newTopic(2), t.newGroup()
		for i := range int32(2) {
			t.mustCode("OffsetCommit", t.commitOffset(group, tp.at(i), commitCall{offset: 4}), codeNone)
		}
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		one := kmsg.NewOffsetDeleteRequestTopic()
		part := kmsg.NewOffsetDeleteRequestTopicPartition()
		one.Topic, one.Partitions = tp.name, append(one.Partitions, part)
		req.Topics = append(req.Topics, one)
		code := t.coordinate(groupCoordinator, group, func(node int32) int16 {
			resp := ask[*kmsg.OffsetDeleteResponse](t, node, req)
			if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
				return resp.ErrorCode
			}
			return resp.Topics[0].Partitions[0].ErrorCode
		})
		t.code("OffsetDelete", code, codeNone)
		t.equal("offset deleted", t.fetchOffset(group, tp.at(0), true).offset, -1)
		t.equal("offset left", t.fetchOffset(group, tp.at(1), true).offset, 4)
	},
}
