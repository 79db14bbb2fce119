package conformance

var txnMappingZero = Case{
	ID:          "txn/mapping/3",
	Title:       "InitProducerId with producer id 0 and epoch 0 allocates on an unknown id, is fenced on a known one",
	Requirement: "KIP-360; TransactionCoordinator.handleInitProducerId (kafka-go sends 0/0)",
	Level:       Must,
	Needs:       []Need{api(keyInitProducerID, 4)},
	Run: func(t *T) {
		zero := initCall{version: at(4), txid: t.name("txid"), resume: true}
		first := t.initProducerID(zero)
		t.code("unknown transactional id", first.ErrorCode, codeNone)
		t.equal("its epoch", first.ProducerEpoch, 0)
		zero.txid = t.transactional(1).txid
		t.code("known transactional id", t.initProducerID(zero).ErrorCode, codeProducerFenced)
	},
}
