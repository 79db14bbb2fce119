package conformance

var produceBatchControl = Case{
	ID:          "produce/batch/3",
	Title:       "a client may not write control batches",
	Requirement: "LogValidator.validateBatch, AppendOrigin.CLIENT",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		marker := plain("\x00\x00\x00\x00\x00\x00")
		marker.control, marker.key = true, "\x00\x00\x00\x01"
		t.code("control batch of no producer", t.produce(log, call{}, marker).ErrorCode, codeInvalidRecord)
		forged := p.batch(0, 1)
		forged.control = true
		t.code("control batch of a producer", t.produce(log, call{}, forged).ErrorCode, codeInvalidRecord)
		t.equal("high watermark", t.highWatermark(log), 0)
	},
}
