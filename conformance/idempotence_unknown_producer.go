package conformance

var idempotenceUnknownProducer = Case{
	ID:          "idempotence/unknown/1",
	Title:       "an unknown producer id may start at any sequence in a log that has records",
	Requirement: "KIP-360; ProducerAppendInfo.checkSequence",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		t.fill(log, 1)
		first := p.send(log, 1<<31-2, 1)
		t.code("first sequence 2147483646", first.ErrorCode, codeNone)
		t.equal("its base offset", first.BaseOffset, 1)
	},
}
