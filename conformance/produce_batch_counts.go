package conformance

import "encoding/binary"

var produceBatchCounts = Case{
	ID:          "produce/batch/2",
	Title:       "a batch whose counts and offsets do not fit its records is INVALID_RECORD",
	Requirement: "LogValidator.validateBatch",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		bent := func(at int, value uint32) int16 {
			b := plain("a")
			b.edit = func(raw []byte) { binary.BigEndian.PutUint32(raw[at:], value) }
			return t.produce(log, call{}, b).ErrorCode
		}
		t.code("count 5 of 1 record", bent(atCount, 5), codeInvalidRecord)
		t.code("count 0", bent(atCount, 0), codeInvalidRecord)
		t.code("count -1", bent(atCount, ^uint32(0)), codeInvalidRecord)
		t.code("count 2147483647", bent(atCount, 1<<31-1), codeInvalidRecord)
		t.code("last offset delta 7 of 1 record", bent(atLastOffsetDelta, 7), codeInvalidRecord)
		base := plain("a")
		base.spoil = func(raw []byte) { binary.BigEndian.PutUint64(raw, 5) }
		t.code("base offset 5", t.produce(log, call{}, base).ErrorCode, codeInvalidRecord)
		two := append(plain("a").encode(), plain("b").encode()...)
		t.code("two batches", t.produceRaw(log, call{}, two).ErrorCode, codeInvalidRecord)
		t.code("no batch", t.produceRaw(log, call{}, []byte{}).ErrorCode, codeInvalidRecord)
		t.equal("high watermark", t.highWatermark(log), 0)
	},
}
