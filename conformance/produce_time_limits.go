package conformance

import "time"

var produceTimeLimits = Case{
	ID:          "produce/time/1",
	Title:       "a timestamp far in the future is INVALID_TIMESTAMP",
	Requirement: "message.timestamp.after.max.ms (KIP-937), an hour unless it is set (KIP-1030)",
	Level:       Must,
	Needs:       []Need{kafka4()},
	Run: func(t *T) {
		log := t.oneLog()
		b := plain("a")
		b.timestamp = time.Now().Add(30 * 24 * time.Hour).UnixMilli()
		t.code("30 days ahead", t.produce(log, call{}, b).ErrorCode, codeInvalidTimestamp)
		b.timestamp = 1 << 62
		t.code("2^62 ms", t.produce(log, call{}, b).ErrorCode, codeInvalidTimestamp)
		b.timestamp = time.Now().Add(-time.Hour).UnixMilli()
		t.code("an hour ago", t.produce(log, call{}, b).ErrorCode, codeNone)
		t.equal("high watermark", t.highWatermark(log), 1)
	},
}
