package conformance

var produceCodecZstd = Case{
	ID:          "produce/codec/1",
	Title:       "zstd below Produce 7 is UNSUPPORTED_COMPRESSION_TYPE",
	Requirement: "KIP-110; ProduceRequest.validateRecords",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		b := plain("a")
		b.edit = func(raw []byte) { raw[atAttributes+1] |= 4 }
		t.code("zstd at Produce 6", t.produce(log, call{version: at(6)}, b).ErrorCode, codeUnsupportedCompression)
		t.equal("high watermark", t.highWatermark(log), 0)
	},
}
