package conformance

var idempotenceAcksOne = Case{
	ID:          "idempotence/acks/1",
	Title:       "idempotent and transactional produce with acks=1 is accepted",
	Requirement: "KIP-98; ReplicaManager does not tie acks to producer ids",
	Level:       Must,
	Needs:       tv1(),
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		first := t.produce(log, call{acks: at(1)}, p.batch(0, 1))
		t.code("idempotent, acks=1", first.ErrorCode, codeNone)
		again := t.produce(log, call{acks: at(1)}, p.batch(0, 1))
		t.code("its retry", again.ErrorCode, codeNone)
		t.equal("base offset of the retry", again.BaseOffset, 0)
		all := t.produce(log, call{}, p.batch(0, 1))
		t.code("its retry with acks=all", all.ErrorCode, codeNone)
		t.equal("base offset of that retry", all.BaseOffset, 0)

		tx := t.transactional(1).begin(log)
		c := tx.call()
		c.acks = at(1)
		inside := t.produce(log, c, tx.batch(0, 1))
		t.code("transactional, acks=1", inside.ErrorCode, codeNone)
		tx.endSettled(true, log)
		t.equal("offsets used, marker included", t.highWatermark(log), 3)
	},
}
