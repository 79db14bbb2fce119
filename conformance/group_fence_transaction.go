package conformance

var groupFenceTransaction = Case{
	ID:          "group/fence/2",
	Title:       "TxnOffsetCommit of an old generation or an unknown member is refused",
	Requirement: "KIP-447; ClassicGroup.validateOffsetCommit",
	Level:       Must,
	Needs:       []Need{api(keyTxnOffsetCommit, 3)},
	Run: func(t *T) {
		log := t.oneLog()
		for _, tv := range t.protocols() {
			group, p, version := t.newGroup(), t.transactional(tv), int16(5)
			m := t.newMember(group, "").alone()
			if tv == 1 {
				version = 4
				t.mustCode("AddOffsetsToTxn", p.addOffsets(3, group), codeNone)
			}
			old, ghost := *m, *m
			old.generation--
			ghost.id = "nobody"
			t.code("an old generation", p.commitOffset(version, group, log, 5, &old), codeIllegalGeneration)
			t.code("an unknown member", p.commitOffset(version, group, log, 5, &ghost), codeUnknownMemberID)
			t.code("the member", p.commitOffset(version, group, log, 6, m), codeNone)
			p.end(true)
			t.settle("offsets settle", func(code int16) bool { return code == codeUnstableOffsetCommit }, func() int16 {
				return t.fetchOffset(group, log, true).code
			})
			t.equal("committed offset", t.fetchOffset(group, log, true).offset, 6)
			t.code("LeaveGroup", m.leave(), codeNone)
		}
	},
}
