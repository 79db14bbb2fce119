package conformance

var txnVerifyEnded = Case{
	ID:          "txn/verify/8",
	Title:       "first protocol: a late produce of a transaction that has ended opens no other that would hang",
	Requirement: "KIP-890 part 1, KAFKA-14884",
	Level:       Must,
	Needs:       append(tv1(), api(keyProduce, 11)),
	Run: func(t *T) {
		t.races() // Kafka answers those that it verifies together with the code of the first one
		for _, commit := range []bool{true, false} {
			log, p := t.oneLog(), t.transactional(1)
			p.begin(log).append(log, 1)
			p.endSettled(commit, log)
			for _, version := range []int16{7, 11} {
				// Below version 12 NOT_ENOUGH_REPLICAS says that the former end is under way.
				ending := func(code int16) bool { return code == codeNotEnoughReplicas || isTransactionEnding(code) }
				late := t.settle("late produce", ending, func() int16 {
					return t.produce(log, call{version: at(version), txid: p.txid}, p.batch(1, 1)).ErrorCode
				})
				t.code("late produce with the next sequence", late, codeInvalidTxnState, codeTransactionAbortable)
			}
			t.equal("high watermark", t.highWatermark(log), 2)
			t.equal("last stable offset", t.lastStable(log), 2)
			p.begin(log).append(log, 1)
			p.endSettled(true, log)
			t.equal("last stable offset after the next transaction", t.lastStable(log), 4)
		}
	},
}
