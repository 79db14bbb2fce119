package conformance

var idempotenceSequenceGap = Case{
	ID:          "idempotence/sequence/1",
	Title:       "a gap in the sequence and an overlap of it are out of order",
	Requirement: "KIP-98; ProducerAppendInfo.checkSequence",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		for range 6 {
			p.append(log, 1)
		}
		t.code("sequence 8 when 6 is next", p.send(log, 8, 1).ErrorCode, codeOutOfOrderSequence)
		t.code("sequences 5..6 when 6 is next", p.send(log, 5, 2).ErrorCode, codeOutOfOrderSequence)
		t.equal("high watermark", t.highWatermark(log), 6)
		t.code("sequence 6 after both", p.send(log, 6, 1).ErrorCode, codeNone)
	},
}
