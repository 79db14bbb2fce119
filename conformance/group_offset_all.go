package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var groupOffsetAll = Case{
	ID:          "group/offset/6",
	Title:       "OffsetFetch for all topics tells what was committed, for several groups at once",
	Requirement: "KIP-709; OffsetFetch 8",
	Level:       Must,
	Needs:       []Need{api(keyOffsetFetch, 8)},
	Run: func(t *T) {
		tp, group, empty := t.newTopic(3), t.newGroup(), t.name("group")
		for i := range int32(2) {
			t.mustCode("OffsetCommit", t.commitOffset(group, tp.at(i), commitCall{offset: int64(i + 1)}), codeNone)
		}
		node, code := t.findCoordinator(groupCoordinator, group)
		t.mustCode("FindCoordinator", code, codeNone)
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version = t.newest(req, -1)
		for _, name := range []string{group, empty} {
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group, g.Topics = name, nil
			req.Groups = append(req.Groups, g)
		}
		seen := map[string]string{}
		for _, g := range ask[*kmsg.OffsetFetchResponse](t, node, req).Groups {
			offsets := map[int32]int64{}
			for _, one := range g.Topics {
				for _, p := range one.Partitions {
					offsets[p.Partition] = p.Offset
				}
			}
			seen[g.Group] = fmt.Sprint(codeName(g.ErrorCode), offsets)
		}
		t.equal("offsets of the group", seen[group], "NONEmap[0:1 1:2]")
		if len(t.cluster.brokers) == 1 { // else another broker may lead the second group
			t.equal("offsets of a group nobody knows", seen[empty], "NONEmap[]")
		}
	},
}
