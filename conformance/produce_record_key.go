package conformance

import "fmt"

var produceRecordKey = Case{
	ID:          "produce/record/1",
	Title:       "a record without a key in a compacted topic is INVALID_RECORD, and the answer names it",
	Requirement: "KIP-467; LogValidator.validateKey",
	Level:       Must,
	Needs:       []Need{api(keyProduce, 8)},
	Run: func(t *T) {
		log := t.oneLog("cleanup.policy", "compact")
		keyed := plain("a")
		keyed.key = "k"
		t.code("a record with a key", t.produce(log, call{}, keyed).ErrorCode, codeNone)
		bare := t.produce(log, call{}, plain("b", "c"))
		t.code("two records without a key", bare.ErrorCode, codeInvalidRecord)
		var named []int32
		for _, r := range bare.ErrorRecords {
			named = append(named, r.RelativeOffset)
			t.record("what is wrong with it", text(r.ErrorMessage) != "", "a message", fmt.Sprintf("%q", text(r.ErrorMessage)))
		}
		t.equal("records named", fmt.Sprint(named), "[0 1]")
		t.equal("base offset", bare.BaseOffset, -1)
		t.equal("high watermark", t.highWatermark(log), 1)
	},
}
