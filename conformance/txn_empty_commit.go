package conformance

var txnEmptyCommit = Case{
	ID:          "txn/empty/1",
	Title:       "EndTxn v5 commit of an empty transaction is INVALID_TXN_STATE",
	Requirement: "KIP-890; TransactionCoordinator.endTransaction",
	Level:       Must,
	Needs:       tv2(),
	Run: func(t *T) {
		p := t.transactional(2)
		t.code("commit before any transaction", p.endAt(5, true).ErrorCode, codeInvalidTxnState)
		log := t.oneLog()
		p.append(log, 1)
		p.endSettled(true, log)
		t.code("commit of an empty second transaction", p.endFinally(true), codeInvalidTxnState)
	},
}
