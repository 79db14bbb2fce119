package conformance

var fetchRangeEdges = Case{
	ID:          "fetch/range/1",
	Title:       "OFFSET_OUT_OF_RANGE is below the log start and above the log end only",
	Requirement: "LocalLog.read",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		t.fill(log, 3)
		end := t.fetch(log, fetchCall{offset: 3})
		t.code("at the log end", end.ErrorCode, codeNone)
		t.equal("bytes at the log end", len(end.RecordBatches), 0)
		t.equal("high watermark told", end.HighWatermark, 3)
		t.code("above the log end", t.fetch(log, fetchCall{offset: 4}).ErrorCode, codeOffsetOutOfRange)
		t.code("at -5", t.fetch(log, fetchCall{offset: -5}).ErrorCode, codeOffsetOutOfRange)
		t.code("at 2^62", t.fetch(log, fetchCall{offset: 1 << 62}).ErrorCode, codeOffsetOutOfRange)
	},
}
