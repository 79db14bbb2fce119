package conformance

var txnSequenceFirst = Case{
	ID:          "txn/sequence/1",
	Title:       "second protocol: the first batch of a producer in a partition has sequence 0",
	Requirement: "KIP-890; ProducerAppendInfo.checkSequence with a verification that supports epoch bumps",
	Level:       Must,
	Needs:       tv2(),
	Run: func(t *T) {
		log, p := t.oneLog(), t.transactional(2)
		t.code("first batch at sequence 3", p.send(log, 3, 1).ErrorCode, codeOutOfOrderSequence)
		t.code("first batch at sequence 0", p.send(log, 0, 1).ErrorCode, codeNone)
		p.endSettled(true, log)
		t.equal("records shown", len(t.committed(log)), 1)
	},
}
