package conformance

var idempotenceWrapBatch = Case{
	ID:          "idempotence/wrap/2",
	Title:       "a batch may lie across the wrap of its sequence",
	Requirement: "KIP-98; DefaultRecordBatch.incrementSequence",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		t.fill(log, 1)
		across := p.send(log, 1<<31-8, 10) // 2147483640..2147483647, 0, 1
		t.code("10 records from sequence 2147483640", across.ErrorCode, codeNone)
		t.equal("its base offset", across.BaseOffset, 1)
		t.code("then sequence 2", p.send(log, 2, 1).ErrorCode, codeNone)
		again := p.send(log, 1<<31-8, 10)
		t.code("retry of the batch across the wrap", again.ErrorCode, codeNone)
		t.equal("its base offset", again.BaseOffset, 1)
		t.equal("high watermark", t.highWatermark(log), 12)
	},
}
