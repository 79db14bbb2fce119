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

var topicMetadataMixed = Case{
	ID:          "topic/metadata/5",
	Title:       "Metadata that gives an id looks at no names, be they beside the id or alone",
	Requirement: "KIP-516; Metadata 12; KafkaApis.handleTopicMetadataRequest",
	Level:       Must,
	Needs:       []Need{api(keyMetadata, 12)},
	Run: func(t *T) {
		tp := t.newTopic(2)
		ask := func(topics ...kmsg.MetadataRequestTopic) []kmsg.MetadataResponseTopic {
			req := kmsg.NewPtrMetadataRequest()
			req.Version = t.newest(req, -1)
			req.Topics = topics
			return ask[*kmsg.MetadataResponse](t, t.any(), req).Topics
		}
		empty, other := "", "conf-no-such-name" // Kafka's AdminClient asks for an id with an empty name
		for _, name := range []*string{&empty, &other} {
			known := ask(kmsg.MetadataRequestTopic{TopicID: tp.id, Topic: name})
			if t.equal(fmt.Sprintf("topics by id beside the name %q", *name), len(known), 1) {
				t.code("its code", known[0].ErrorCode, codeNone)
				t.equal("its name", text(known[0].Topic), tp.name)
			}
			ghost := ask(kmsg.MetadataRequestTopic{TopicID: [16]byte{7}, Topic: name})
			if t.equal(fmt.Sprintf("topics of an unknown id beside the name %q", *name), len(ghost), 1) {
				t.code("its code", ghost[0].ErrorCode, codeUnknownTopicID)
				t.equal("its name is null", ghost[0].Topic == nil, true)
			}
		}
		both := ask(kmsg.MetadataRequestTopic{TopicID: tp.id}, kmsg.MetadataRequestTopic{Topic: &other})
		if t.equal("topics by id, with one by name in the list", len(both), 1) {
			t.equal("its name", text(both[0].Topic), tp.name)
		}
	},
}
