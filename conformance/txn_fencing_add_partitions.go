package conformance

import "fmt"

var txnFencingAddPartitions = Case{
	ID:          "txn/fencing/2",
	Title:       "a fenced AddPartitionsToTxn is INVALID_PRODUCER_EPOCH below version 2, PRODUCER_FENCED from it",
	Requirement: "KIP-588; KafkaApis.handleAddPartitionsToTxnRequest",
	Level:       Must,
	Needs:       []Need{api(keyAddPartitionsToTxn, 3)},
	Run: func(t *T) {
		log, zombie := t.oneLog(), t.transactional(1)
		t.producerOf(zombie.txid, 1)
		for version, want := range []int16{codeInvalidProducerEpoch, codeInvalidProducerEpoch, codeProducerFenced, codeProducerFenced} {
			t.code(fmt.Sprintf("AddPartitionsToTxn %d with an old epoch", version), zombie.addPartitions(int16(version), log), want)
		}
	},
}
