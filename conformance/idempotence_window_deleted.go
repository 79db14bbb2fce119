package conformance

var idempotenceWindowDeleted = Case{
	ID:          "idempotence/window/6",
	Title:       "a retry is known though the records of the batch were deleted meanwhile",
	Requirement: "KIP-360; producer state outlives the records until producer.id.expiration.ms",
	Level:       Must,
	Needs:       []Need{api(keyDeleteRecords, 0)},
	Run: func(t *T) {
		log, p := t.oneLog(), t.idempotent()
		for range 3 {
			p.append(log, 1)
		}
		cut := t.deleteRecords(log, -1)
		t.code("DeleteRecords", cut.ErrorCode, codeNone)
		t.equal("low watermark", cut.LowWatermark, 3)
		for seq := range int32(3) {
			again := p.send(log, seq, 1)
			t.code("retry", again.ErrorCode, codeNone)
			t.equal("its base offset", again.BaseOffset, seq)
		}
		t.code("a gap", p.send(log, 4, 1).ErrorCode, codeOutOfOrderSequence)
		p.append(log, 1)
		t.equal("high watermark", t.highWatermark(log), 4)
	},
}
