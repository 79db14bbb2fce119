package conformance

var txnMappingInit = Case{
	ID:          "txn/mapping/2",
	Title:       "InitProducerId with the producer id of another transactional id is fenced",
	Requirement: "KIP-360; TransactionCoordinator.prepareInitProducerIdTransit",
	Level:       Must,
	Needs:       []Need{api(keyInitProducerID, 4)},
	Run: func(t *T) {
		a, b := t.transactional(1), t.transactional(1)
		answer := t.initProducerID(initCall{txid: a.txid, resume: true, id: b.id, epoch: b.epoch})
		t.code("InitProducerId of one id with the producer id of another", answer.ErrorCode, codeProducerFenced)
		own := t.initSettled(initCall{txid: b.txid, resume: true, id: b.id, epoch: b.epoch})
		t.code("InitProducerId with its own producer id", own.ErrorCode, codeNone)
		t.equal("producer id kept", own.ProducerID, b.id)
		t.equal("epoch bumped", own.ProducerEpoch, b.epoch+1)
	},
}
