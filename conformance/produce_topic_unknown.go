package conformance

var produceTopicUnknown = Case{
	ID:          "produce/topic/1",
	Title:       "an unknown name or partition is error 3, an unknown topic id error 100",
	Requirement: "KIP-516; Produce 13",
	Level:       Must,
	Needs:       []Need{api(keyProduce, 13)},
	Run: func(t *T) {
		tp := t.newTopic(1)
		ghost := &topic{name: t.name("ghost"), id: [16]byte{1, 2, 3}, leaders: tp.leaders}
		t.code("unknown name", t.produce(ghost.at(0), call{version: at(12)}, plain("a")).ErrorCode, codeUnknownTopicOrPartition)
		t.code("unknown id", t.produce(ghost.at(0), call{}, plain("a")).ErrorCode, codeUnknownTopicID)
		wide := &topic{name: tp.name, id: tp.id, leaders: make([]int32, 100)}
		for i := range wide.leaders {
			wide.leaders[i] = tp.leaders[0]
		}
		t.code("partition 99 by name", t.produce(wide.at(99), call{version: at(12)}, plain("a")).ErrorCode, codeUnknownTopicOrPartition)
		t.code("partition 99 by id", t.produce(wide.at(99), call{}, plain("a")).ErrorCode, codeUnknownTopicOrPartition, codeUnknownTopicID)
	},
}
