package conformance

var groupFenceGeneration = Case{
	ID:          "group/fence/1",
	Title:       "an old generation is ILLEGAL_GENERATION, an unknown member UNKNOWN_MEMBER_ID",
	Requirement: "ClassicGroup.validateMember, validateOffsetCommit",
	Level:       Must,
	Run: func(t *T) {
		log, group := t.oneLog(), t.newGroup()
		m := t.newMember(group, "").alone()
		old, ghost := *m, *m
		old.generation--
		ghost.id = "nobody"
		t.code("Heartbeat of an old generation", old.heartbeat(), codeIllegalGeneration)
		t.code("SyncGroup of an old generation", old.sync(nil).ErrorCode, codeIllegalGeneration)
		t.code("OffsetCommit of an old generation", t.commitOffset(group, log, commitCall{member: &old, offset: 1}), codeIllegalGeneration)
		t.code("Heartbeat of an unknown member", ghost.heartbeat(), codeUnknownMemberID)
		t.code("SyncGroup of an unknown member", ghost.sync(nil).ErrorCode, codeUnknownMemberID)
		t.code("LeaveGroup of an unknown member", ghost.leave(), codeUnknownMemberID)
		t.code("OffsetCommit of an unknown member", t.commitOffset(group, log, commitCall{member: &ghost, offset: 1}), codeUnknownMemberID)
		t.code("OffsetCommit of nobody into a group with members", t.commitOffset(group, log, commitCall{offset: 1}), codeUnknownMemberID)
		t.equal("committed offset", t.fetchOffset(group, log, false).offset, -1)
		t.code("OffsetCommit of the member", t.commitOffset(group, log, commitCall{member: m, offset: 1}), codeNone)
		t.code("LeaveGroup", m.leave(), codeNone)
	},
}
