package conformance

var txnSequencePlain = Case{
	ID:          "txn/sequence/5",
	Title:       "a plain batch of a producer whose transaction is open is INVALID_TXN_STATE",
	Requirement: "KIP-98; ProducerAppendInfo.appendDataBatch",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv).begin(log)
			p.append(log, 1)
			plain := p.batch(1, 1)
			plain.transactional = false
			t.code("a batch without the transactional bit", t.produce(log, call{}, plain).ErrorCode, codeInvalidTxnState)
			p.append(log, 1)
			p.endSettled(true, log)
			t.equal("records shown", len(t.committed(log)), 2)
		}
	},
}
