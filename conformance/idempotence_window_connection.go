package conformance

var idempotenceWindowConnection = Case{
	ID:          "idempotence/window/5",
	Title:       "a duplicate is known on another connection and at another version of Produce",
	Requirement: "KIP-98; the window belongs to the partition",
	Level:       Must,
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		t.fill(log, 2)
		p.append(log, 2)
		for _, version := range []int16{3, 7, 9, 12} {
			again := t.produce(log, call{version: at(version), on: t.dialNode(log.leader())}, p.batch(0, 2))
			t.code("retry on a new connection", again.ErrorCode, codeNone)
			t.equal("its base offset", again.BaseOffset, 2)
		}
		t.equal("high watermark", t.highWatermark(log), 4)
	},
}
