package conformance

var groupOffsetOrder = Case{
	ID:          "group/offset/4",
	Title:       "a plain commit made after the transaction's offset is not undone by the transaction's commit",
	Requirement: "OffsetMetadataManager.replayEndTransactionMarker compares the offsets of the records",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		for _, tv := range t.protocols() {
			group, p := t.newGroup(), t.transactional(tv)
			p.addOffset(group, log, 10, nil)
			t.mustCode("plain OffsetCommit", t.commitOffset(group, log, commitCall{offset: 30}), codeNone)
			p.end(true)
			t.settle("offsets settle", func(code int16) bool { return code == codeUnstableOffsetCommit }, func() int16 {
				return t.fetchOffset(group, log, true).code
			})
			t.equal("committed offset", t.fetchOffset(group, log, true).offset, 30)
		}
	},
}
