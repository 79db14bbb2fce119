package conformance

var readUncommittedAll = Case{
	ID:          "read/uncommitted/1",
	Title:       "read_uncommitted sees committed, aborted and open records in log order",
	Requirement: "KIP-98; isolation.level",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv)
			for _, commit := range []bool{true, false} {
				p.begin(log)
				p.append(log, 1)
				p.endSettled(commit, log)
			}
			p.begin(log)
			p.append(log, 1)
			t.equal("records, read_uncommitted", len(t.values(log)), 3)
			t.equal("records, read_committed", len(t.committed(log)), 1)
			t.equal("offset of the open record", t.log(log)[4].baseOffset, 4)
		}
	},
}
