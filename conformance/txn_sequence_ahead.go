package conformance

var txnSequenceAhead = Case{
	ID:          "txn/sequence/4",
	Title:       "first protocol: no batch overtakes the lowest refused one while a transaction is unwritten",
	Requirement: "KIP-890 part 1; VerificationStateEntry.maybeUpdateLowestSequence",
	Level:       Observed,
	Needs:       tv1(),
	Run: func(t *T) {
		log, p := t.oneLog(), t.transactional(1)
		p.begin(log)
		p.append(log, 2)
		p.endSettled(true, log)
		p.begin(log)
		t.code("sequence 0 when 2 is next", p.send(log, 0, 1).ErrorCode, codeOutOfOrderSequence)
		t.code("sequence 2 after it", p.send(log, 2, 1).ErrorCode, codeOutOfOrderSequence)
		t.equal("records shown", len(t.committed(log)), 2)
		p.end(false)
	},
}
