package conformance

var produceAcksInvalid = Case{
	ID:          "produce/acks/1",
	Title:       "acks other than -1, 0 and 1 is INVALID_REQUIRED_ACKS",
	Requirement: "ReplicaManager.isValidRequiredAcks",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		t.code("acks=2", t.produce(log, call{acks: at(2)}, plain("a")).ErrorCode, codeInvalidRequiredAcks)
		t.code("acks=1", t.produce(log, call{acks: at(1)}, plain("b")).ErrorCode, codeNone)
		t.equal("high watermark", t.highWatermark(log), 1)
	},
}
