package conformance

import "fmt"

var txnFencingAddOffsets = Case{
	ID:          "txn/fencing/3",
	Title:       "a fenced AddOffsetsToTxn is INVALID_PRODUCER_EPOCH below version 2, PRODUCER_FENCED from it",
	Requirement: "KIP-588; KafkaApis.handleAddOffsetsToTxnRequest",
	Level:       Must,
	Needs:       []Need{api(keyAddOffsetsToTxn, 3)},
	Run: func(t *T) {
		group, zombie := t.name("group"), t.transactional(1)
		t.producerOf(zombie.txid, 1)
		for version, want := range []int16{codeInvalidProducerEpoch, codeInvalidProducerEpoch, codeProducerFenced, codeProducerFenced} {
			t.code(fmt.Sprintf("AddOffsetsToTxn %d with an old epoch", version), zombie.addOffsets(int16(version), group), want)
		}
	},
}
