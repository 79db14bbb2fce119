package conformance

import "fmt"

var topicCreateAnswer = Case{
	ID:          "topic/create/1",
	Title:       "CreateTopics answers id, partitions, replicas and configs; again it is TOPIC_ALREADY_EXISTS",
	Requirement: "KIP-525, KIP-516; CreateTopics 7",
	Level:       Must,
	Needs:       []Need{api(keyCreateTopics, 7)},
	Run: func(t *T) {
		tp := &topic{name: t.name("topic")}
		answer := t.createTopic(tp.name, 3, 1, "retention.ms", "3600000")
		t.mustCode("CreateTopics", answer.ErrorCode, codeNone)
		t.equal("partitions and replicas", fmt.Sprint(answer.NumPartitions, answer.ReplicationFactor), "3 1")
		t.equal("has an id", answer.TopicID != [16]byte{}, true)
		t.record("configs", answer.Configs != nil, "not null", fmt.Sprint(len(answer.Configs)))
		retention := "not listed"
		for _, c := range answer.Configs {
			if c.Name == "retention.ms" {
				retention = text(c.Value)
			}
		}
		t.equal("retention.ms", retention, "3600000")
		t.until("metadata", func() (string, bool) { return t.located(tp, 3) })
		t.equal("id in the metadata", tp.id, answer.TopicID)
		t.code("CreateTopics once more", t.createTopic(tp.name, 3, 1).ErrorCode, codeTopicExists)
	},
}
