package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicCreateJudged = Case{
	ID:          "topic/create/4",
	Title:       "CreateTopics that is only to be judged makes nothing; a name that comes twice is refused, others are made",
	Requirement: "KIP-4, KIP-464; ReplicationControlManager.createTopics, ControllerApis.createTopics",
	Level:       Must,
	Needs:       []Need{api(keyCreateTopics, 5)},
	Run: func(t *T) {
		create := func(only bool, names ...string) map[string]kmsg.CreateTopicsResponseTopic {
			req := kmsg.NewPtrCreateTopicsRequest()
			req.Version, req.TimeoutMillis, req.ValidateOnly = t.newest(req, -1), 10000, only
			for _, name := range names {
				one := kmsg.NewCreateTopicsRequestTopic()
				one.Topic, one.NumPartitions, one.ReplicationFactor = name, -1, -1
				req.Topics = append(req.Topics, one)
			}
			answers := map[string]kmsg.CreateTopicsResponseTopic{}
			for _, one := range ask[*kmsg.CreateTopicsResponse](t, t.any(), req).Topics {
				answers[one.Topic] = one
				if one.ErrorCode == codeNone && !only {
					t.topics = append(t.topics, &topic{name: one.Topic})
				}
			}
			return answers
		}
		name, other := t.name("topic"), t.name("topic")
		judged := create(true, name)[name]
		t.code("to be judged", judged.ErrorCode, codeNone)
		t.record("partitions and replicas, by default", judged.NumPartitions > 0 && judged.ReplicationFactor > 0, "1 or more",
			fmt.Sprint(judged.NumPartitions, judged.ReplicationFactor))
		t.code("metadata", t.metadata(t.any(), name).ErrorCode, codeUnknownTopicOrPartition)
		twice := create(false, name, other, name)
		t.code("named twice", twice[name].ErrorCode, codeInvalidRequest)
		t.code("named once", twice[other].ErrorCode, codeNone)
		t.until("metadata of the one", func() (string, bool) {
			code := t.metadata(t.any(), other).ErrorCode
			return codeName(code), code == codeNone
		})
		t.code("metadata of the other", t.metadata(t.any(), name).ErrorCode, codeUnknownTopicOrPartition)
		t.code("to be judged, though it is there", create(true, other)[other].ErrorCode, codeTopicExists)
	},
}
