package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var topicConfigRefused = Case{
	ID:          "topic/config/3",
	Title:       "a change of configs that is refused or only to be judged changes nothing, others of the request do",
	Requirement: "KIP-339; ConfigAdminManager, LogConfig.validate",
	Level:       Must,
	Needs:       []Need{api(keyDescribeConfigs, 1), {Key: int16(kmsg.IncrementalAlterConfigs)}},
	Run: func(t *T) {
		set := kmsg.IncrementalAlterConfigOpSet
		tp, other := t.newTopic(1), t.newTopic(1)
		t.code("to be judged", t.alterConfigs(true, setting{tp.name, "retention.ms", set, "5"})[0], codeNone)
		t.code("to be judged, wrong", t.alterConfigs(true, setting{tp.name, "retention.ms", set, "x"})[0], codeInvalidConfig)
		t.code("out of bounds", t.alterConfigs(false, setting{tp.name, "retention.ms", set, "-2"})[0], codeInvalidConfig)
		t.code("a config twice", t.alterConfigs(false, setting{tp.name, "retention.ms", set, "5"}, setting{tp.name, "retention.ms", set, "6"})[0], codeInvalidRequest)
		t.code("one of two wrong", t.alterConfigs(false, setting{tp.name, "retention.ms", set, "5"}, setting{tp.name, "segment.ms", set, "0"})[0], codeInvalidConfig)
		t.code("two that contradict each other", t.alterConfigs(false,
			setting{tp.name, "min.compaction.lag.ms", set, "6"}, setting{tp.name, "max.compaction.lag.ms", set, "5"})[0], codeInvalidConfig)
		t.code("no topic is named", t.alterConfigs(false, setting{"", "retention.ms", set, "5"})[0], codeInvalidRequest)
		both := t.alterConfigs(false, setting{other.name, "retention.ms", set, "77"}, setting{t.name("nobody"), "retention.ms", set, "5"})
		if t.equal("topics answered", len(both), 2) {
			t.code("a topic beside one that is not there", both[0], codeNone)
			t.code("a topic that is not there", both[1], codeUnknownTopicOrPartition)
		}
		t.until("the change of the other topic", func() (string, bool) {
			value, _ := t.topicConfig(other, "retention.ms")
			return value, value == "77"
		})
		_, source := t.topicConfig(tp, "retention.ms")
		t.record("retention.ms is not the topic's own", source != kmsg.ConfigSourceDynamicTopicConfig, "another source", source.String())
	},
}

// A setting is one operation on a config of a topic.
type setting struct {
	topic, name string
	op          kmsg.IncrementalAlterConfigOp
	value       string
}

// alterConfigs sends operations in one request and returns the code of each
// topic, in the order they were first named.
func (t *T) alterConfigs(validateOnly bool, settings ...setting) (codes []int16) {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version, req.ValidateOnly = t.newest(req, -1), validateOnly
	for _, s := range settings {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op, c.Value = s.name, s.op, &s.value
		if n := len(req.Resources); n > 0 && req.Resources[n-1].ResourceName == s.topic {
			req.Resources[n-1].Configs = append(req.Resources[n-1].Configs, c)
			continue
		}
		one := kmsg.NewIncrementalAlterConfigsRequestResource()
		one.ResourceType, one.ResourceName, one.Configs = kmsg.ConfigResourceTypeTopic, s.topic, append(one.Configs, c)
		req.Resources = append(req.Resources, one)
	}
	resp := ask[*kmsg.IncrementalAlterConfigsResponse](t, t.any(), req)
	for _, asked := range req.Resources {
		for _, answer := range resp.Resources {
			if answer.ResourceName == asked.ResourceName {
				codes = append(codes, answer.ErrorCode)
			}
		}
	}
	if len(codes) == 0 {
		t.fatalf("IncrementalAlterConfigs", "an answer for each topic", "%d resources", len(resp.Resources))
	}
	return codes
}
