package conformance

var groupDeleteEmpty = Case{
	ID:          "group/delete/1",
	Title:       "a group with members is not deleted, an empty one is with its offsets",
	Requirement: "KIP-229; GroupMetadataManager.validateDeleteGroup",
	Level:       Must,
	Run: func(t *T) {
		log, group := t.oneLog(), t.name("group")
		t.code("DeleteGroups of a group nobody knows", t.deleteGroup(group), codeGroupIDNotFound)
		m := t.newMember(group, "").alone()
		t.mustCode("OffsetCommit", t.commitOffset(group, log, commitCall{member: m, offset: 4}), codeNone)
		t.code("DeleteGroups of a group with a member", t.deleteGroup(group), codeNonEmptyGroup)
		t.code("LeaveGroup", m.leave(), codeNone)
		t.equal("offset after the last member left", t.fetchOffset(group, log, true).offset, 4)
		t.code("DeleteGroups of the empty group", t.deleteGroup(group), codeNone)
		t.equal("offset after the deletion", t.fetchOffset(group, log, true).offset, -1)
		t.code("DeleteGroups once more", t.deleteGroup(group), codeGroupIDNotFound)
	},
}
