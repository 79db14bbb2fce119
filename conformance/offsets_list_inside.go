package conformance

import "fmt"

var offsetsListInside = Case{
	ID:          "offsets/list/3",
	Title:       "ListOffsets by time finds a record inside of a batch",
	Requirement: "KIP-79; the offset of the record, not of its batch",
	Level:       Must,
	Run: func(t *T) {
		log := t.oneLog()
		b := plain("a", "b", "c") // a millisecond apart
		b.timestamp = t.longAgo()
		t.mustCode("Produce", t.produce(log, call{}, b).ErrorCode, codeNone)
		answer := t.listOffset(log, b.timestamp+1, readUncommitted)
		t.equal("offset and timestamp", fmt.Sprint(answer.Offset, answer.Timestamp-b.timestamp), "1 1")
	},
}
