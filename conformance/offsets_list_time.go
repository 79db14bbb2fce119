package conformance

import "fmt"

var offsetsListTime = Case{
	ID:          "offsets/list/2",
	Title:       "ListOffsets by time finds the first record at or after it, -1 behind all",
	Requirement: "KIP-79; LogSegment.findOffsetByTimestamp",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		now := t.stamp(log, 100, 300, 200, 500)
		for _, tt := range []struct {
			at                int64
			offset, timestamp int64
		}{{0, 0, 100}, {100, 0, 100}, {101, 1, 300}, {200, 1, 300}, {301, 3, 500}, {500, 3, 500}} {
			answer := t.listOffset(log, now+tt.at, readUncommitted)
			t.equal(fmt.Sprintf("time %d", tt.at), fmt.Sprint(answer.Offset, answer.Timestamp-now), fmt.Sprint(tt.offset, tt.timestamp))
		}
		behind := t.listOffset(log, now+501, readUncommitted)
		t.code("time behind all", behind.ErrorCode, codeNone)
		t.equal("offset and timestamp behind all", fmt.Sprint(behind.Offset, behind.Timestamp), "-1 -1")
	},
}
