package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicConfigBroker = Case{
	ID:          "topic/config/7",
	Title:       "the configs of a broker are described by that broker, all of them for null; another name is INVALID_REQUEST",
	Requirement: "KIP-133, KIP-226; ConfigHelper.describeConfigs",
	Level:       Must,
	Needs:       []Need{api(keyDescribeConfigs, 1)},
	Run: func(t *T) {
		describe := func(kind kmsg.ConfigResourceType, name string, configs []string) kmsg.DescribeConfigsResponseResource {
			req := kmsg.NewPtrDescribeConfigsRequest()
			req.Version = t.newest(req, -1)
			req.IncludeSynonyms = true
			one := kmsg.NewDescribeConfigsRequestResource()
			one.ResourceType, one.ResourceName, one.ConfigNames = kind, name, configs
			req.Resources = append(req.Resources, one)
			resp := ask[*kmsg.DescribeConfigsResponse](t, t.any(), req)
			if len(resp.Resources) != 1 {
				t.fatalf("DescribeConfigs", "1 resource", "%d resources", len(resp.Resources))
			}
			return resp.Resources[0]
		}
		own := fmt.Sprint(t.any())
		all := describe(kmsg.ConfigResourceTypeBroker, own, nil)
		t.code("of the broker", all.ErrorCode, codeNone)
		t.record("configs for null", len(all.Configs) > 20, "more than 20", fmt.Sprint(len(all.Configs) > 20))
		one := describe(kmsg.ConfigResourceTypeBroker, own, []string{"message.max.bytes"})
		if t.equal("configs of a list of one", len(one.Configs), 1) {
			c := one.Configs[0]
			t.equal("its name and value", c.Name+" "+text(c.Value), "message.max.bytes 1048588")
			t.record("its synonyms", len(c.ConfigSynonyms) > 0, "1 or more", fmt.Sprint(len(c.ConfigSynonyms)))
		}
		t.equal("configs of an empty list", len(describe(kmsg.ConfigResourceTypeBroker, own, []string{}).Configs) > 20, true)
		t.code("of a broker that does not answer", describe(kmsg.ConfigResourceTypeBroker, "4711", nil).ErrorCode, codeInvalidRequest)
		t.code("of a broker with no number", describe(kmsg.ConfigResourceTypeBroker, "one", nil).ErrorCode, codeInvalidRequest)
		t.code("of an unknown topic", describe(kmsg.ConfigResourceTypeTopic, t.name("topic"), nil).ErrorCode, codeUnknownTopicOrPartition)
	},
}
