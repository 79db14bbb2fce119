package conformance

var txnEpochHole = Case{
	ID:          "txn/epoch/4",
	Title:       "first protocol: a late copy of EndTxn ends the next transaction (the hole KIP-890 closes)",
	Requirement: "KIP-890, motivation; transactions of one session share their epoch",
	Level:       Observed,
	Needs:       tv1(),
	Run: func(t *T) {
		log, p := t.oneLog(), t.transactional(1)
		p.begin(log).append(log, 1)
		p.endSettled(true, log)
		p.begin(log).append(log, 1)
		late := p.again()
		t.code("late copy of the first EndTxn", late.endAt(4, true).ErrorCode, codeNone)
		t.stable(log)
		t.equal("records shown of a transaction its producer has not ended", len(t.committed(log)), 2)
		t.code("the producer's own abort comes too late", p.endFinally(false), codeInvalidTxnState)
	},
}
