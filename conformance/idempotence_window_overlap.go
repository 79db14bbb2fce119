package conformance

var idempotenceWindowOverlap = Case{
	ID:          "idempotence/window/4",
	Title:       "only a batch with the same first and last sequence is a duplicate",
	Requirement: "KIP-98; ProducerStateEntry.batchWithSequenceRange",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		p.append(log, 5)
		p.append(log, 5)
		t.code("first part of a batch", p.send(log, 0, 3).ErrorCode, codeOutOfOrderSequence)
		t.code("last part of a batch", p.send(log, 7, 3).ErrorCode, codeOutOfOrderSequence)
		t.code("two batches as one", p.send(log, 0, 10).ErrorCode, codeOutOfOrderSequence)
		again := p.send(log, 0, 5)
		t.code("retry of the first batch", again.ErrorCode, codeNone)
		t.equal("its base offset", again.BaseOffset, 0)
		t.equal("high watermark", t.highWatermark(log), 10)
	},
}
