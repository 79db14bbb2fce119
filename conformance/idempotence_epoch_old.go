package conformance

var idempotenceEpochOld = Case{
	ID:          "idempotence/epoch/2",
	Title:       "a produce with an old epoch is INVALID_PRODUCER_EPOCH, never PRODUCER_FENCED",
	Requirement: "KIP-360, KIP-588; ProducerAppendInfo.checkProducerEpoch",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		p.append(log, 1)
		old := p.again()
		p.epoch++
		t.code("first of the next epoch", p.send(log, 0, 1).ErrorCode, codeNone)
		t.code("next sequence of the old epoch", old.send(log, 1, 1).ErrorCode, codeInvalidProducerEpoch)
		t.code("retry of the old epoch's batch", old.send(log, 0, 1).ErrorCode, codeInvalidProducerEpoch)
		t.equal("high watermark", t.highWatermark(log), 2)
	},
}
