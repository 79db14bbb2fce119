package conformance

var txnFencingInit = Case{
	ID:          "txn/fencing/1",
	Title:       "a fenced InitProducerId is INVALID_PRODUCER_EPOCH at version 3, PRODUCER_FENCED from 4",
	Requirement: "KIP-588; KafkaApis.handleInitProducerIdRequest",
	Level:       Must,
	Needs:       []Need{api(keyInitProducerID, 4)},
	Run: func(t *T) {
		zombie := t.transactional(1)
		t.producerOf(zombie.txid, 1)
		t.producerOf(zombie.txid, 1)
		for version, want := range map[int16]int16{3: codeInvalidProducerEpoch, 4: codeProducerFenced} {
			answer := t.initProducerID(initCall{version: at(version), txid: zombie.txid, resume: true, id: zombie.id, epoch: zombie.epoch})
			t.code("InitProducerId with an old epoch", answer.ErrorCode, want)
		}
	},
}
