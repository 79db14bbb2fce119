package conformance

var groupDeleteOffset = Case{
	ID:          "group/delete/2",
	Title:       "OffsetDelete takes away one partition's offset of a group",
	Requirement: "KIP-496",
	Level:       Must,
	Needs:       []Need{api(keyOffsetDelete, 0)},
	Run: func(t *T) {
		tp, group := t.newTopic(2), t.newGroup()
		for i := range int32(2) {
			t.mustCode("OffsetCommit", t.commitOffset(group, tp.at(i), commitCall{offset: 4}), codeNone)
		}
		t.code("OffsetDelete", t.deleteOffset(group, tp.at(0)), codeNone)
		t.equal("offset deleted", t.fetchOffset(group, tp.at(0), true).offset, -1)
		t.equal("offset left", t.fetchOffset(group, tp.at(1), true).offset, 4)
	},
}
