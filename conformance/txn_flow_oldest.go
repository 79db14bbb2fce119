package conformance

var txnFlowOldest = Case{
	ID:          "txn/flow/3",
	Title:       "the oldest versions clients still speak make a whole transaction",
	Requirement: "KIP-98; Produce 7, InitProducerId 0, AddPartitionsToTxn 0, AddOffsetsToTxn 0, TxnOffsetCommit 0, EndTxn 0",
	Level:       Must,
	Needs:       tv1(),
	Run: func(t *T) {
		log, group, p := t.oneLog(), t.newGroup(), t.transactional(1)
		for round, commit := range []bool{true, false} {
			first := t.initSettled(initCall{version: at(0), txid: p.txid})
			t.mustCode("InitProducerId 0", first.ErrorCode, codeNone)
			p.id, p.epoch = first.ProducerID, first.ProducerEpoch
			t.mustCode("AddPartitionsToTxn 0", p.addPartitions(0, log), codeNone)
			answer := t.produce(log, call{version: at(7), txid: p.txid}, p.batch(0, 1))
			t.mustCode("Produce 7", answer.ErrorCode, codeNone)
			t.mustCode("AddOffsetsToTxn 0", p.addOffsets(0, group), codeNone)
			t.mustCode("TxnOffsetCommit 0", p.commitOffset(0, group, log, int64(5+round), nil), codeNone)
			t.mustCode("EndTxn 0", p.endAt(0, commit).ErrorCode, codeNone)
			t.stable(log)
			t.settle("offsets settle", func(code int16) bool { return code == codeUnstableOffsetCommit }, func() int16 {
				return t.fetchOffset(group, log, true).code
			})
		}
		t.equal("records shown", len(t.committed(log)), 1)
		t.equal("offset of the committed transaction", t.fetchOffsetAt(1, group, log, false).offset, 5)
	},
}
