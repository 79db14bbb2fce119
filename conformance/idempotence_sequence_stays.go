package conformance

var idempotenceSequenceStays = Case{
	ID:          "idempotence/sequence/4",
	Title:       "a refused batch leaves the sequence where it was",
	Requirement: "KIP-98; producer state changes at append only",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		p.append(log, 1)
		broken := p.batch(1, 1)
		broken.spoil = func(raw []byte) { raw[atCRC]++ }
		t.code("a batch with a wrong CRC", t.produce(log, p.call(), broken).ErrorCode, codeCorruptMessage)
		t.code("a gap", p.send(log, 5, 1).ErrorCode, codeOutOfOrderSequence)
		t.code("an epoch that begins at 4", t.ahead(p).send(log, 4, 1).ErrorCode, codeOutOfOrderSequence)
		next := p.send(log, 1, 1)
		t.code("the next sequence after all", next.ErrorCode, codeNone)
		t.equal("its base offset", next.BaseOffset, 1)
	},
}

// ahead is the producer one epoch on.
func (t *T) ahead(p *producer) *producer {
	q := p.again()
	q.epoch++
	return q
}
