package conformance

var txnUnknownInit = Case{
	ID:          "txn/unknown/2",
	Title:       "InitProducerId refuses timeouts out of range and an empty transactional id",
	Requirement: "KIP-98; TransactionCoordinator.handleInitProducerId, transaction.max.timeout.ms",
	Level:       Must,
	Run: func(t *T) {
		long := t.initProducerID(initCall{txid: t.name("txid"), timeout: 1<<31 - 1})
		t.code("timeout 2147483647 ms", long.ErrorCode, codeInvalidTxnTimeout)
		negative := t.initProducerID(initCall{txid: t.name("txid"), timeout: -5})
		t.code("timeout -5 ms", negative.ErrorCode, codeInvalidTxnTimeout)
		req := initRequest("")
		req.Version = t.newest(req, 4)
		t.code("empty transactional id", ask[initResponse](t, t.any(), req).ErrorCode, codeInvalidRequest)
	},
}
