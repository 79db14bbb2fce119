package conformance

var groupOffsetNoGroup = Case{
	ID:          "group/offset/8",
	Title:       "OffsetCommit from 9 with a generation of a group that does not exist is GROUP_ID_NOT_FOUND",
	Requirement: "KIP-848; GroupMetadataManager.validateOffsetCommit",
	Level:       Must,
	Needs:       []Need{kafka4(), api(keyOffsetCommit, 9)},
	Run: func(t *T) {
		log, group := t.oneLog(), t.name("group")
		ghost := &member{t: t, group: group, id: "nobody", generation: 5}
		for version := int16(9); version <= t.cluster.apis[keyOffsetCommit].max; version++ {
			t.code("OffsetCommit", t.commitOffset(group, log, commitCall{version: at(version), member: ghost, offset: 1}), codeGroupIDNotFound)
		}
		t.equal("committed offset", t.fetchOffset(group, log, true).offset, -1)
	},
}
