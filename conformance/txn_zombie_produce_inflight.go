package conformance

var txnZombieProduceInflight = Case{
	ID:          "txn/zombie/2",
	Title:       "a zombie's produce during the fencing abort is refused or aborted with the rest",
	Requirement: "KIP-98, KIP-890; ProducerAppendInfo.checkProducerEpoch",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			zombie := t.transactional(tv).begin(log)
			zombie.append(log, 2)
			t.races()
			t.initProducerID(initCall{txid: zombie.txid})
			t.observe("zombie produce", codeName(zombie.send(log, 2, 1).ErrorCode))
			successor := t.producerOf(zombie.txid, tv)
			t.stable(log)
			t.equal("records committed", len(t.committed(log)), 0)
			successor.begin(log).append(log, 1)
			successor.endSettled(true, log)
			t.equal("records committed by the successor", len(t.committed(log)), 1)
		}
	},
}
