package conformance

var idempotenceSequenceNone = Case{
	ID:          "idempotence/sequence/3",
	Title:       "a producer id without a sequence is INVALID_RECORD",
	Requirement: "LogValidator.validateBatch",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		t.code("producer id with sequence -1", p.send(log, -1, 1).ErrorCode, codeInvalidRecord)
		t.equal("high watermark", t.highWatermark(log), 0)
	},
}
