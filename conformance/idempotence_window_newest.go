package conformance

var idempotenceWindowNewest = Case{
	ID:          "idempotence/window/1",
	Title:       "a retry of the newest batch is answered with its first offset",
	Requirement: "KIP-98; ProducerStateEntry.findDuplicateBatch",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		for range 6 {
			p.append(log, 1)
		}
		again := p.send(log, 5, 1)
		t.code("retry of sequence 5 of 0..5", again.ErrorCode, codeNone)
		t.equal("its base offset", again.BaseOffset, 5)
		t.equal("high watermark", t.highWatermark(log), 6)
	},
}
