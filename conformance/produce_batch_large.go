package conformance

import "strings"

var produceBatchLarge = Case{
	ID:          "produce/batch/4",
	Title:       "a batch above max.message.bytes is MESSAGE_TOO_LARGE",
	Requirement: "max.message.bytes; UnifiedLog.append",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog("max.message.bytes", "2000")
		t.code("3000 bytes", t.produce(log, call{}, plain(strings.Repeat("v", 3000))).ErrorCode, codeMessageTooLarge)
		t.code("1000 bytes", t.produce(log, call{}, plain(strings.Repeat("v", 1000))).ErrorCode, codeNone)
		t.equal("high watermark", t.highWatermark(log), 1)
	},
}
