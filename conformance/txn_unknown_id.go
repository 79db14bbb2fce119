package conformance

var txnUnknownID = Case{
	ID:          "txn/unknown/1",
	Title:       "requests for an unknown transactional id are INVALID_PRODUCER_ID_MAPPING",
	Requirement: "KIP-98; TransactionCoordinator",
	Level:       Must,
	Needs:       tv1(),
	Run: func(t *T) {
		log, group := t.oneLog(), t.name("group")
		ghost := &producer{t: t, txid: t.name("txid"), id: 424242, tv: 1}
		t.code("EndTxn", ghost.endAt(3, true).ErrorCode, codeInvalidPIDMapping)
		t.code("AddPartitionsToTxn", ghost.addPartitions(3, log), codeInvalidPIDMapping)
		t.code("AddOffsetsToTxn", ghost.addOffsets(3, group), codeInvalidPIDMapping)
		t.code("TxnOffsetCommit", ghost.commitOffset(3, group, log, 0, nil), codeInvalidPIDMapping)
		t.code("Produce 10", t.produce(log, call{version: at(10), txid: ghost.txid}, ghost.batch(0, 1)).ErrorCode, codeInvalidPIDMapping)
		t.equal("high watermark", t.highWatermark(log), 0)
	},
}
