package conformance

import "fmt"

var txnFencingEnd = Case{
	ID:          "txn/fencing/4",
	Title:       "a fenced EndTxn is INVALID_PRODUCER_EPOCH below version 2, PRODUCER_FENCED from it",
	Requirement: "KIP-588; KafkaApis.handleEndTxnRequest",
	Level:       Must,
	Needs:       []Need{api(keyEndTxn, 3)},
	Run: func(t *T) {
		zombie := t.transactional(1)
		t.producerOf(zombie.txid, 1)
		newest := t.cluster.apis[keyEndTxn].max
		for version := range min(newest, 5) + 1 {
			want := codeProducerFenced
			if version < 2 {
				want = codeInvalidProducerEpoch
			}
			t.code(fmt.Sprintf("EndTxn %d with an old epoch", version), zombie.endAt(version, true).ErrorCode, want)
		}
	},
}
