package conformance

var txnSequenceGoesOn = Case{
	ID:          "txn/sequence/2",
	Title:       "first protocol: sequences and the window of duplicates go on across transactions",
	Requirement: "KIP-98; a marker of the same epoch leaves the sequence",
	Level:       Must,
	Needs:       tv1(),
	Run: func(t *T) {
		log, p := t.oneLog(), t.transactional(1)
		p.begin(log)
		p.append(log, 2)
		p.endSettled(true, log)
		p.begin(log)
		t.code("sequence 2 in the second transaction", p.send(log, 2, 1).ErrorCode, codeNone)
		again := p.send(log, 0, 2)
		t.code("retry of the first transaction's batch", again.ErrorCode, codeNone)
		t.equal("its base offset", again.BaseOffset, 0)
		p.endSettled(true, log)
		t.equal("records shown", len(t.committed(log)), 3)
	},
}
