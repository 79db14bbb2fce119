package conformance

var txnVerifyAdds = Case{
	ID:          "txn/verify/3",
	Title:       "Produce 12 adds its partitions to the transaction",
	Requirement: "KIP-890 part 2; AddPartitionsToTxnManager.addOrVerifyTransaction",
	Level:       Must,
	Alone:       true,
	Needs:       tv2(),
	Run: func(t *T) {
		log, p := t.oneLog(), t.transactional(2)
		first := t.produce(log, call{version: at(12), txid: p.txid}, p.batch(0, 1))
		t.code("Produce 12, partition not added", first.ErrorCode, codeNone)
		t.equal("last stable offset", t.lastStable(log), 0)
		p.endSettled(true, log)
		t.equal("records shown", len(t.committed(log)), 1)
	},
}
