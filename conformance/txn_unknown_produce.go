package conformance

var txnUnknownProduce = Case{
	ID:          "txn/unknown/3",
	Title:       "a transactional batch without a transactional id is refused",
	Requirement: "KIP-98; KafkaApis.handleProduceRequest",
	Level:       Must,
	Needs:       tv1(),
	Run: func(t *T) {
		log, p := t.oneLog(), t.transactional(1)
		p.begin(log)
		answer := t.produce(log, call{version: at(11)}, p.batch(0, 1))
		t.code("transactional batch, null transactional id", answer.ErrorCode, codeTxnIDAuthorization, codeInvalidRequest)
		t.equal("high watermark", t.highWatermark(log), 0)
	},
}
