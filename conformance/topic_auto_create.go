package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicAutoCreate = Case{
	ID:          "topic/auto/1",
	Title:       "Metadata makes a topic it is asked for only if the client allows it, below version 4 always",
	Requirement: "KIP-204, auto.create.topics.enable; MetadataRequest.allowAutoTopicCreation",
	Level:       Observed,
	Run: func(t *T) {
		asked := func(version int16, name string, allow bool) kmsg.MetadataResponseTopic {
			req := kmsg.NewPtrMetadataRequest()
			req.Version, req.AllowAutoTopicCreation = t.newest(req, version), allow
			one := kmsg.NewMetadataRequestTopic()
			one.Topic = &name
			req.Topics = append(req.Topics, one)
			resp := ask[*kmsg.MetadataResponse](t, t.any(), req)
			if len(resp.Topics) != 1 {
				t.fatalf("Metadata", "1 topic", "%d topics", len(resp.Topics))
			}
			return resp.Topics[0]
		}
		name := t.name("topic")
		for range 2 {
			t.code("not allowed", asked(-1, name, false).ErrorCode, codeUnknownTopicOrPartition)
		}
		for version, name := range map[int16]string{-1: name, 3: t.name("topic")} {
			t.topics = append(t.topics, &topic{name: name})
			t.until("the topic is there", func() (string, bool) {
				one := asked(version, name, true)
				return fmt.Sprint(codeName(one.ErrorCode), len(one.Partitions)), one.ErrorCode == codeNone && len(one.Partitions) > 0
			})
		}
		t.code("a name that cannot be", asked(-1, "a b", true).ErrorCode, codeInvalidTopic)
	},
}
