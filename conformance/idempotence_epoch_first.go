package conformance

var idempotenceEpochFirst = Case{
	ID:          "idempotence/epoch/1",
	Title:       "the first sequence of a new epoch is 0",
	Requirement: "KIP-98, KIP-360; ProducerAppendInfo.checkSequence",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		for range 3 {
			p.append(log, 1)
		}
		p.epoch++
		t.code("next epoch with sequence 3", p.send(log, 3, 1).ErrorCode, codeOutOfOrderSequence)
		first := p.send(log, 0, 1)
		t.code("next epoch with sequence 0", first.ErrorCode, codeNone)
		t.equal("its base offset", first.BaseOffset, 3)
	},
}
