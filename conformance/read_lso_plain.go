package conformance

var readLSOPlain = Case{
	ID:          "read/lso/3",
	Title:       "read_committed shows nothing behind an open transaction, plain records included",
	Requirement: "KIP-98; fetch isolation TXN_COMMITTED stops at the last stable offset",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv).begin(log)
			t.fill(log, 1)
			p.append(log, 1)
			t.fill(log, 3)
			t.equal("batches, read_committed", len(t.batches(log, readCommitted)), 1)
			t.equal("batches, read_uncommitted", len(t.batches(log, readUncommitted)), 5)
			behind := t.fetch(log, fetchCall{offset: 3, isolation: readCommitted})
			t.code("fetch between LSO and HW", behind.ErrorCode, codeNone)
			t.equal("batches between LSO and HW", len(behind.batches), 0)
			p.endSettled(true, log)
			t.equal("records after the commit", len(t.committed(log)), 5)
		}
	},
}
