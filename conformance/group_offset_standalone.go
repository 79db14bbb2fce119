package conformance

var groupOffsetStandalone = Case{
	ID:          "group/offset/7",
	Title:       "without a member OffsetCommit is UNKNOWN_MEMBER_ID while the group has members, and accepted once it has none",
	Requirement: "ClassicGroup.validateOffsetCommit",
	Level:       Must,
	Run: func(t *T) {
		log, group := t.oneLog(), t.newGroup()
		t.code("OffsetCommit of nobody in a new group", t.commitOffset(group, log, commitCall{offset: 3}), codeNone)
		m := t.newMember(group, "").alone()
		t.code("OffsetCommit of nobody with a member inside", t.commitOffset(group, log, commitCall{offset: 4}), codeUnknownMemberID)
		t.equal("committed offset", t.fetchOffset(group, log, true).offset, 3)
		t.code("OffsetCommit of the member", t.commitOffset(group, log, commitCall{offset: 5, member: m}), codeNone)
		t.code("LeaveGroup", m.leave(), codeNone)
		t.code("OffsetCommit of the member that has left", t.commitOffset(group, log, commitCall{offset: 6, member: m}), codeUnknownMemberID)
		t.equal("committed offset", t.fetchOffset(group, log, true).offset, 5)
		t.code("OffsetCommit of nobody in an empty group", t.commitOffset(group, log, commitCall{offset: 1}), codeNone)
		t.equal("committed offset, which may go back", t.fetchOffset(group, log, true).offset, 1)
	},
}
