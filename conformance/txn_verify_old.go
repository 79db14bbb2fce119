package conformance

import "fmt"

var txnVerifyOld = Case{
	ID:          "txn/verify/1",
	Title:       "Produce up to 10 into a partition that was not added is INVALID_TXN_STATE",
	Requirement: "KIP-890 part 1; ReplicaManager.maybeSendPartitionToTransactionCoordinator",
	Level:       Must,
	Alone:       true,
	Needs:       tv1(),
	Run: func(t *T) {
		log, other, p := t.oneLog(), t.oneLog(), t.transactional(1)
		p.begin(other)
		for version := int16(7); version <= 10; version++ {
			answer := t.produce(log, call{version: at(version), txid: p.txid}, p.batch(0, 1))
			t.code(fmt.Sprintf("Produce %d, partition not added", version), answer.ErrorCode, codeInvalidTxnState)
		}
		t.equal("high watermark", t.highWatermark(log), 0)
		t.mustCode("AddPartitionsToTxn", p.addPartitions(3, log), codeNone)
		t.code("Produce once it is added", p.send(log, 0, 1).ErrorCode, codeNone)
	},
}
