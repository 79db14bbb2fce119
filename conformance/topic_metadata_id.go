package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicMetadataID = Case{
	ID:          "topic/metadata/1",
	Title:       "Metadata finds topics by name and by id, none for an empty list, all for null",
	Requirement: "KIP-516; Metadata 12",
	Level:       Must,
	Needs:       []Need{api(keyMetadata, 12)},
	Run: func(t *T) {
		tp := t.newTopic(2)
		ask := func(topics []kmsg.MetadataRequestTopic) *kmsg.MetadataResponse {
			req := kmsg.NewPtrMetadataRequest()
			req.Version = t.newest(req, -1)
			req.Topics = topics
			return ask[*kmsg.MetadataResponse](t, t.any(), req)
		}
		byID := ask([]kmsg.MetadataRequestTopic{{TopicID: tp.id}})
		if t.equal("topics by id", len(byID.Topics), 1) {
			t.code("its code", byID.Topics[0].ErrorCode, codeNone)
			t.equal("its name", text(byID.Topics[0].Topic), tp.name)
			t.equal("its partitions", len(byID.Topics[0].Partitions), 2)
		}
		ghost := ask([]kmsg.MetadataRequestTopic{{TopicID: [16]byte{7}}})
		if t.equal("topics of an unknown id", len(ghost.Topics), 1) {
			t.code("its code", ghost.Topics[0].ErrorCode, codeUnknownTopicID)
		}
		t.equal("topics of an empty list", len(ask([]kmsg.MetadataRequestTopic{}).Topics), 0)
		all := ask(nil)
		found := false
		for _, one := range all.Topics {
			found = found || text(one.Topic) == tp.name
		}
		t.equal("found among all", found, true)
		t.record("cluster id", text(all.ClusterID) != "", "given", fmt.Sprintf("%q", text(all.ClusterID)))
	},
}
