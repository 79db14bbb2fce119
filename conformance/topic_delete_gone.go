package conformance

var topicDeleteGone = Case{
	ID:          "topic/delete/1",
	Title:       "a deleted topic is unknown to metadata, produce and fetch, and to a second delete",
	Requirement: "ReplicationControlManager.deleteTopics",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		t.fill(log, 1)
		t.code("DeleteTopics", t.deleteTopic(log.topic), codeNone)
		t.gone(log.topic)
		t.until("produce finds it unknown", func() (string, bool) {
			code := t.produce(log, call{version: at(12)}, plain("late")).ErrorCode
			return codeName(code), code == codeUnknownTopicOrPartition
		})
		t.until("fetch finds it unknown", func() (string, bool) {
			code := t.fetch(log, fetchCall{version: at(12)}).ErrorCode
			return codeName(code), code == codeUnknownTopicOrPartition
		})
		t.code("DeleteTopics once more", t.deleteTopic(log.topic), codeUnknownTopicOrPartition)
	},
}
