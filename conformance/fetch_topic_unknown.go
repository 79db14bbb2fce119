package conformance

var fetchTopicUnknown = Case{
	ID:          "fetch/topic/1",
	Title:       "a fetch of an unknown name is error 3, of an unknown topic id error 100",
	Requirement: "KIP-516; Fetch 13",
	Level:       Must,
	Needs:       []Need{api(keyFetch, 13)},
	Run: func(t *T) {
		ghost := &topic{name: t.name("ghost"), id: [16]byte{9, 9}, leaders: []int32{t.any()}}
		t.code("unknown name", t.fetch(ghost.at(0), fetchCall{version: at(12)}).ErrorCode, codeUnknownTopicOrPartition)
		t.code("unknown id", t.fetch(ghost.at(0), fetchCall{}).ErrorCode, codeUnknownTopicID)
	},
}
