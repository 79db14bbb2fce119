package conformance

var groupOffsetUnknown = Case{
	ID:          "group/offset/5",
	Title:       "OffsetCommit of an unknown topic name is error 3, of an unknown id error 100",
	Requirement: "KIP-848; KafkaApis.handleOffsetCommitRequest",
	Level:       Must,
	Needs:       []Need{api(keyOffsetCommit, 10), api(keyOffsetFetch, 10)},
	Run: func(t *T) {
		group, log := t.newGroup(), t.oneLog()
		ghost := (&topic{name: t.name("ghost"), id: [16]byte{5}}).at(0)
		t.code("unknown name", t.commitOffset(group, ghost, commitCall{version: at(9), offset: 1}), codeUnknownTopicOrPartition)
		t.code("unknown id", t.commitOffset(group, ghost, commitCall{offset: 1}), codeUnknownTopicID)
		t.code("fetch of an unknown id", t.fetchOffset(group, ghost, false).code, codeUnknownTopicID)
		t.code("partition 7 of 1", t.commitOffset(group, log.topic.at(7), commitCall{version: at(9), offset: 1}), codeUnknownTopicOrPartition)
	},
}
