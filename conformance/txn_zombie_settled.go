package conformance

var txnZombieSettled = Case{
	ID:          "txn/zombie/3",
	Title:       "after the abort a zombie's produce is INVALID_PRODUCER_EPOCH, its EndTxn PRODUCER_FENCED",
	Requirement: "KIP-588; ProducerAppendInfo.checkProducerEpoch, TransactionCoordinator.endTransaction",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			zombie := t.transactional(tv).begin(log)
			zombie.append(log, 2)
			t.producerOf(zombie.txid, tv)
			end := t.stable(log)
			t.code("zombie produce", zombie.send(log, 2, 1).ErrorCode, codeInvalidProducerEpoch)
			t.code("zombie EndTxn commit", zombie.endFinally(true), codeProducerFenced)
			t.code("zombie EndTxn abort", zombie.endFinally(false), codeProducerFenced)
			t.equal("end of the log after both", t.stable(log), end)
		}
	},
}
