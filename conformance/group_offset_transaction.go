package conformance

var groupOffsetTransaction = Case{
	ID:          "group/offset/3",
	Title:       "offsets of a transaction show after its commit only; RequireStable is told to wait",
	Requirement: "KIP-447; UNSTABLE_OFFSET_COMMIT",
	Level:       Must,
	Needs:       []Need{api(keyOffsetFetch, 7)},
	Run: func(t *T) {
		log := t.oneLog()
		for _, tv := range t.protocols() {
			group, p := t.newGroup(), t.transactional(tv)
			t.mustCode("OffsetCommit", t.commitOffset(group, log, commitCall{offset: 1}), codeNone)
			for round, commit := range []bool{true, false} {
				offset := int64(round+1) * 10
				before := t.fetchOffset(group, log, true).offset
				p.addOffset(group, log, offset, nil)
				t.code("OffsetFetch with RequireStable", t.fetchOffset(group, log, true).code, codeUnstableOffsetCommit)
				loose := t.fetchOffset(group, log, false)
				t.code("OffsetFetch without it", loose.code, codeNone)
				t.equal("offset without it", loose.offset, before)
				p.end(commit)
				t.settle("offsets settle", func(code int16) bool { return code == codeUnstableOffsetCommit }, func() int16 {
					return t.fetchOffset(group, log, true).code
				})
				want := before
				if commit {
					want = offset
				}
				t.equal("offset after the end", t.fetchOffset(group, log, true).offset, want)
			}
		}
	},
}
