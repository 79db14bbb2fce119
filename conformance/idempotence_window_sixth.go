package conformance

var idempotenceWindowSixth = Case{
	ID:          "idempotence/window/3",
	Title:       "a retry of the sixth-newest batch is out of order, not appended again",
	Requirement: "KIP-98; ProducerStateEntry.NUM_BATCHES_TO_RETAIN = 5",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		for range 6 {
			p.append(log, 1)
		}
		again := p.send(log, 0, 1)
		t.code("retry of sequence 0 of 0..5", again.ErrorCode, codeOutOfOrderSequence)
		t.equal("high watermark", t.highWatermark(log), 6)
	},
}
