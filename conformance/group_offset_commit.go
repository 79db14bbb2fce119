package conformance

var groupOffsetCommit = Case{
	ID:          "group/offset/1",
	Title:       "a committed offset is read back with its metadata and leader epoch",
	Requirement: "OffsetMetadataManager; KIP-320 leader epoch",
	Level:       Must,
	Run: func(t *T) {
		tp, group := t.newTopic(2), t.newGroup()
		log := tp.at(0)
		t.equal("offset of a group nobody knows", t.fetchOffset(group, log, true).offset, -1)
		t.code("OffsetCommit without members", t.commitOffset(group, log, commitCall{offset: 42, epoch: 3, metadata: "note"}), codeNone)
		c := t.fetchOffset(group, log, true)
		t.equal("offset", c.offset, 42)
		t.equal("metadata", c.metadata, "note")
		t.equal("leader epoch", c.epoch, 3)
		t.equal("offset at OffsetFetch 1", t.fetchOffsetAt(1, group, log, false).offset, 42)
		t.equal("offset at OffsetFetch 7", t.fetchOffsetAt(7, group, log, false).offset, 42)
		t.equal("offset of the other partition", t.fetchOffset(group, tp.at(1), true).offset, -1)
		t.code("a lower offset", t.commitOffset(group, log, commitCall{offset: 7, epoch: -1}), codeNone)
		t.equal("offset", t.fetchOffset(group, log, true).offset, 7)
		t.code("OffsetCommit 2", t.commitOffset(group, log, commitCall{version: at(2), offset: 8}), codeNone)
		t.equal("offset", t.fetchOffset(group, log, true).offset, 8)
	},
}
