package conformance

var txnZombieEndInflight = Case{
	ID:          "txn/zombie/1",
	Title:       "a zombie's commit during the fencing abort does not commit",
	Requirement: "KIP-98; TransactionCoordinator.endTransaction in PrepareAbort",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			zombie := t.transactional(tv).begin(log)
			zombie.append(log, 2)
			t.races()
			t.initProducerID(initCall{txid: zombie.txid})
			t.refused("zombie EndTxn commit", zombie.endAt(zombie.endVersion(), true).ErrorCode)
			t.producerOf(zombie.txid, tv)
			t.stable(log)
			t.equal("records committed", len(t.committed(log)), 0)
		}
	},
}
