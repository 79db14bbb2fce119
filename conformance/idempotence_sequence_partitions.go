package conformance

var idempotenceSequencePartitions = Case{
	ID:          "idempotence/sequence/2",
	Title:       "every partition counts the sequences of a producer for itself",
	Requirement: "KIP-98; ProducerStateManager per partition",
	Level:       Must,
	Run: func(t *T) {
		tp, p := t.newTopic(2), t.idempotent()
		for range 3 {
			p.append(tp.at(0), 1)
		}
		first := p.send(tp.at(1), 0, 1)
		t.code("sequence 0 in the other partition", first.ErrorCode, codeNone)
		t.equal("its base offset", first.BaseOffset, 0)
		t.code("sequence 3 in the other partition", p.send(tp.at(1), 3, 1).ErrorCode, codeOutOfOrderSequence)
		t.code("sequence 3 in the first", p.send(tp.at(0), 3, 1).ErrorCode, codeNone)
	},
}
