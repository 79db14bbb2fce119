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
		c := initCall{version: at(3), txid: zombie.txid, resume: true, id: zombie.id, epoch: zombie.epoch}
		t.code("InitProducerId 3 with an old epoch", t.initProducerID(c).ErrorCode, codeInvalidProducerEpoch)
		c.version = at(4)
		t.code("InitProducerId 4 with an old epoch", t.initProducerID(c).ErrorCode, codeProducerFenced)
	},
}
