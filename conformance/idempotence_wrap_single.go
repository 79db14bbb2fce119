package conformance

var idempotenceWrapSingle = Case{
	ID:          "idempotence/wrap/1",
	Title:       "sequences wrap from 2147483647 to 0",
	Requirement: "KIP-98; DefaultRecordBatch.incrementSequence",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		t.fill(log, 1)
		for i, seq := range []int32{1<<31 - 2, 1<<31 - 1, 0} {
			answer := p.send(log, seq, 1)
			t.code("next sequence in order", answer.ErrorCode, codeNone)
			t.equal("its base offset", answer.BaseOffset, i+1)
		}
		again := p.send(log, 1<<31-1, 1)
		t.code("retry of sequence 2147483647", again.ErrorCode, codeNone)
		t.equal("its base offset", again.BaseOffset, 2)
		t.code("sequence 2 when 1 is next", p.send(log, 2, 1).ErrorCode, codeOutOfOrderSequence)
		t.equal("high watermark", t.highWatermark(log), 4)
	},
}
