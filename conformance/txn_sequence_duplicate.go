package conformance

var txnSequenceDuplicate = Case{
	ID:          "txn/sequence/3",
	Title:       "a retry inside a transaction is answered with its first offset",
	Requirement: "KIP-98; ProducerStateEntry.findDuplicateBatch",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log, p := t.oneLog(), t.transactional(tv)
			t.fill(log, 1)
			p.begin(log)
			p.append(log, 3)
			p.append(log, 2)
			again := p.send(log, 0, 3)
			t.code("retry of the first batch", again.ErrorCode, codeNone)
			t.equal("its base offset", again.BaseOffset, 1)
			p.endSettled(true, log)
			t.equal("records shown", len(t.committed(log)), 6)
		}
	},
}
