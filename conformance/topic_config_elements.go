package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var topicConfigElements = Case{
	ID:          "topic/config/6",
	Title:       "elements are appended to and subtracted from configs that are lists, and from no others",
	Requirement: "KIP-339; ConfigurationControlManager.incrementalAlterConfigResource",
	Level:       Must,
	Needs:       []Need{api(keyDescribeConfigs, 1), {Key: int16(kmsg.IncrementalAlterConfigs)}},
	Run: func(t *T) {
		tp := t.newTopic(1)
		change := func(op kmsg.IncrementalAlterConfigOp, value, want string) {
			t.code("change by "+value, t.alterConfigs(false, setting{tp.name, "cleanup.policy", op, value})[0], codeNone)
			t.until("cleanup.policy "+want, func() (string, bool) {
				got, _ := t.topicConfig(tp, "cleanup.policy")
				return got, got == want
			})
		}
		change(kmsg.IncrementalAlterConfigOpAppend, "compact", "delete,compact")
		change(kmsg.IncrementalAlterConfigOpAppend, "delete", "delete,compact")
		change(kmsg.IncrementalAlterConfigOpSubtract, "delete", "compact")
		change(kmsg.IncrementalAlterConfigOpSubtract, "delete", "compact")
		change(kmsg.IncrementalAlterConfigOpSubtract, "compact", "")
		change(kmsg.IncrementalAlterConfigOpAppend, "compact,delete", "compact,delete")
		t.code("an element that is none", t.alterConfigs(false, setting{tp.name, "cleanup.policy", kmsg.IncrementalAlterConfigOpAppend, "shred"})[0], codeInvalidConfig)
		t.code("append to a number", t.alterConfigs(false, setting{tp.name, "retention.ms", kmsg.IncrementalAlterConfigOpAppend, "1"})[0], codeInvalidConfig)
		t.code("subtract from a number", t.alterConfigs(false, setting{tp.name, "retention.ms", kmsg.IncrementalAlterConfigOpSubtract, "1"})[0], codeInvalidConfig)
	},
}
