package conformance

var txnVerifyAbortable = Case{
	ID:          "txn/verify/2",
	Title:       "Produce 11 into a partition that was not added is TRANSACTION_ABORTABLE",
	Requirement: "KIP-890 part 1; ReplicaManager, AddPartitionsToTxnManager",
	Level:       Must,
	Alone:       true,
	Needs:       append(tv1(), api(keyProduce, 11)),
	Run: func(t *T) {
		log, other, p := t.oneLog(), t.oneLog(), t.transactional(1)
		p.begin(other)
		t.code("Produce 11, partition not added", p.send(log, 0, 1).ErrorCode, codeTransactionAbortable)
		t.equal("high watermark", t.highWatermark(log), 0)
		p.append(other, 1)
		p.endSettled(false, other)
		p.begin(log).append(log, 1)
		p.endSettled(true, log)
		t.equal("records shown after an abort and a new transaction", len(t.committed(log)), 1)
	},
}
