package conformance

import (
	"fmt"
	"strings"
)

var topicCreateInvalid = Case{
	ID:          "topic/create/2",
	Title:       "CreateTopics refuses names, partition counts and replication factors that cannot be",
	Requirement: "Topic.validate, ReplicationControlManager.createTopic",
	Level:       Must,
	Run: func(t *T) {
		for _, name := range []string{"", ".", "..", "../../etc/x", "a b", "nul\x00", strings.Repeat("n", 250)} {
			t.code(fmt.Sprintf("name %.20q", name), t.createTopic(name, 1, 1).ErrorCode, codeInvalidTopic)
		}
		t.code("0 partitions", t.createTopic(t.name("topic"), 0, 1).ErrorCode, codeInvalidPartitions)
		t.code("-7 partitions", t.createTopic(t.name("topic"), -7, 1).ErrorCode, codeInvalidPartitions)
		t.code("99 replicas", t.createTopic(t.name("topic"), 1, 99).ErrorCode, codeInvalidReplication)
		config := t.createTopic(t.name("topic"), 1, 1, "no.such.config", "1")
		t.code("an unknown config", config.ErrorCode, codeInvalidConfig)
	},
}
