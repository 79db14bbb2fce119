package conformance

var idempotenceWindowFifth = Case{
	ID:          "idempotence/window/2",
	Title:       "a retry of the fifth-newest batch is answered with its first offset",
	Requirement: "KIP-98; ProducerStateEntry.NUM_BATCHES_TO_RETAIN = 5",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		for range 6 {
			p.append(log, 1)
		}
		again := p.send(log, 1, 1)
		t.code("retry of sequence 1 of 0..5", again.ErrorCode, codeNone)
		t.equal("its base offset", again.BaseOffset, 1)
		t.equal("high watermark", t.highWatermark(log), 6)
	},
}
