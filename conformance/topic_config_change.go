package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var topicConfigChange = Case{
	ID:          "topic/config/1",
	Title:       "a topic config is described with its source, changed, and reset",
	Requirement: "KIP-226, KIP-339; DescribeConfigs, IncrementalAlterConfigs",
	Level:       Must,
	Needs:       []Need{api(keyDescribeConfigs, 1), {Key: int16(kmsg.IncrementalAlterConfigs)}},
	Run: func(t *T) {
		tp := t.newTopic(1, "max.message.bytes", "5000")
		value, source := t.topicConfig(tp, "max.message.bytes")
		t.equal("value set at creation", value, "5000")
		t.equal("its source", source, kmsg.ConfigSourceDynamicTopicConfig)
		_, source = t.topicConfig(tp, "retention.ms")
		t.equal("source of a default", source, kmsg.ConfigSourceDefaultConfig)
		t.code("set", t.alterConfig(tp, "retention.ms", kmsg.IncrementalAlterConfigOpSet, "12345678"), codeNone)
		t.until("the new value", func() (string, bool) {
			value, _ := t.topicConfig(tp, "retention.ms")
			return value, value == "12345678"
		})
		t.code("delete", t.alterConfig(tp, "retention.ms", kmsg.IncrementalAlterConfigOpDelete, ""), codeNone)
		t.until("the default again", func() (string, bool) {
			value, source := t.topicConfig(tp, "retention.ms")
			return value, source == kmsg.ConfigSourceDefaultConfig
		})
		t.code("a value that is no number", t.alterConfig(tp, "retention.ms", kmsg.IncrementalAlterConfigOpSet, "soon"), codeInvalidConfig)
		t.code("a config nobody knows", t.alterConfig(tp, "no.such.config", kmsg.IncrementalAlterConfigOpSet, "1"), codeInvalidConfig)
	},
}

// topicConfig describes one config of a topic.
func (t *T) topicConfig(tp *topic, name string) (value string, source kmsg.ConfigSource) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = t.newest(req, -1)
	one := kmsg.NewDescribeConfigsRequestResource()
	one.ResourceType, one.ResourceName, one.ConfigNames = kmsg.ConfigResourceTypeTopic, tp.name, []string{name}
	req.Resources = append(req.Resources, one)
	resp := ask[*kmsg.DescribeConfigsResponse](t, t.any(), req)
	if len(resp.Resources) != 1 || len(resp.Resources[0].Configs) != 1 {
		t.fatalf("DescribeConfigs "+name, "1 config", "%d resources", len(resp.Resources))
	}
	t.mustCode("DescribeConfigs", resp.Resources[0].ErrorCode, codeNone)
	c := resp.Resources[0].Configs[0]
	return text(c.Value), c.Source
}

// alterConfig changes one config of a topic.
func (t *T) alterConfig(tp *topic, name string, op kmsg.IncrementalAlterConfigOp, value string) int16 {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = t.newest(req, -1)
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op = name, op
	if op == kmsg.IncrementalAlterConfigOpSet {
		c.Value = &value
	}
	one := kmsg.NewIncrementalAlterConfigsRequestResource()
	one.ResourceType, one.ResourceName, one.Configs = kmsg.ConfigResourceTypeTopic, tp.name, append(one.Configs, c)
	req.Resources = append(req.Resources, one)
	resp := ask[*kmsg.IncrementalAlterConfigsResponse](t, t.any(), req)
	if len(resp.Resources) != 1 {
		t.fatalf("IncrementalAlterConfigs", "1 resource", "%d resources", len(resp.Resources))
	}
	return resp.Resources[0].ErrorCode
}
