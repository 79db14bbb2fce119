package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var topicConfigReplace = Case{
	ID:          "topic/config/4",
	Title:       "AlterConfigs leaves a topic with the configs it names and no others",
	Requirement: "KIP-133; ConfigurationControlManager.legacyAlterConfigs",
	Level:       Must,
	Needs:       []Need{api(keyDescribeConfigs, 1), {Key: int16(kmsg.AlterConfigs)}},
	Run: func(t *T) {
		tp := t.newTopic(1, "retention.ms", "5000000", "max.message.bytes", "5000")
		t.code("replace", t.replaceConfigs(tp, "segment.ms", "6000000"), codeNone)
		t.until("the new config", func() (string, bool) {
			value, source := t.topicConfig(tp, "segment.ms")
			return value, value == "6000000" && source == kmsg.ConfigSourceDynamicTopicConfig
		})
		for _, name := range []string{"retention.ms", "max.message.bytes"} {
			_, source := t.topicConfig(tp, name)
			t.record(name+" is not the topic's own", source != kmsg.ConfigSourceDynamicTopicConfig, "another source", source.String())
		}
		t.code("a wrong value", t.replaceConfigs(tp, "retention.ms", "soon"), codeInvalidConfig)
		t.code("a config nobody knows", t.replaceConfigs(tp, "no.such.config", "1"), codeInvalidConfig)
		value, _ := t.topicConfig(tp, "segment.ms")
		t.equal("after refusals", value, "6000000")
		t.code("replace by nothing", t.replaceConfigs(tp), codeNone)
		t.until("no config of its own", func() (string, bool) {
			value, source := t.topicConfig(tp, "segment.ms")
			return value, source != kmsg.ConfigSourceDynamicTopicConfig
		})
	},
}

// replaceConfigs sends AlterConfigs with name, value pairs.
func (t *T) replaceConfigs(tp *topic, configs ...string) int16 {
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Version = t.newest(req, -1)
	one := kmsg.NewAlterConfigsRequestResource()
	one.ResourceType, one.ResourceName = kmsg.ConfigResourceTypeTopic, tp.name
	for i := 0; i+1 < len(configs); i += 2 {
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		one.Configs = append(one.Configs, c)
	}
	req.Resources = append(req.Resources, one)
	resp := ask[*kmsg.AlterConfigsResponse](t, t.any(), req)
	if len(resp.Resources) != 1 {
		t.fatalf("AlterConfigs", "1 resource", "%d resources", len(resp.Resources))
	}
	return resp.Resources[0].ErrorCode
}
