package conformance

var txnFencingOffsets = Case{
	ID:          "txn/fencing/5",
	Title:       "a fenced TxnOffsetCommit is INVALID_PRODUCER_EPOCH and commits nothing",
	Requirement: "KIP-98, KIP-890; verification by the transaction coordinator",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		for _, tv := range t.protocols() {
			group, zombie := t.newGroup(), t.transactional(tv)
			zombie.addOffset(group, log, 7, nil)
			t.producerOf(zombie.txid, tv)
			version := int16(4)
			if tv == 2 {
				version = 5
			}
			t.code("TxnOffsetCommit with an old epoch", zombie.commitOffset(version, group, log, 9, nil), codeInvalidProducerEpoch)
			t.settle("offsets settle", func(code int16) bool { return code == codeUnstableOffsetCommit }, func() int16 {
				return t.fetchOffset(group, log, true).code
			})
			t.equal("committed offset", t.fetchOffset(group, log, true).offset, -1)
		}
	},
}
