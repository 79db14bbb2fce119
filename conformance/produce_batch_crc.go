package conformance

import "encoding/binary"

var produceBatchCRC = Case{
	ID:          "produce/batch/1",
	Title:       "a batch with a wrong checksum, magic or length is CORRUPT_MESSAGE or INVALID_RECORD",
	Requirement: "LogValidator, UnifiedLog.analyzeAndValidateRecords",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		bent := func(spoil func([]byte)) int16 {
			b := plain("a")
			b.spoil = spoil
			return t.produce(log, call{}, b).ErrorCode
		}
		t.code("wrong CRC", bent(func(raw []byte) { raw[atCRC]++ }), codeCorruptMessage)
		t.code("a flipped bit of a record", bent(func(raw []byte) { raw[batchHeader+6] ^= 1 }), codeCorruptMessage)
		t.code("magic 9", bent(func(raw []byte) { raw[atMagic] = 9 }), codeCorruptMessage)
		t.code("magic 1", bent(func(raw []byte) { raw[atMagic] = 1 }), codeInvalidRecord, codeCorruptMessage)
		t.code("length 0", bent(func(raw []byte) { binary.BigEndian.PutUint32(raw[atLength:], 0) }), codeCorruptMessage, codeInvalidRecord)
		t.code("5 bytes", t.produceRaw(log, call{}, []byte("12345")).ErrorCode, codeInvalidRecord, codeCorruptMessage)
		t.equal("high watermark", t.highWatermark(log), 0)
	},
}
