package conformance

import "fmt"

var offsetsListSpecial = Case{
	ID:          "offsets/list/1",
	Title:       "ListOffsets knows latest, earliest, the newest timestamp and the tiers",
	Requirement: "KIP-734, KIP-405, KIP-1005; without tiers local earliest is earliest, tiered is -1",
	Level:       Must,
	Needs:       []Need{api(keyListOffsets, 9)},
	Run: func(t *T) {
		log := t.oneLog()
		ask := func(timestamp int64) string {
			answer := t.listOffset(log, timestamp, readUncommitted)
			return fmt.Sprintf("%s %d", codeName(answer.ErrorCode), answer.Offset)
		}
		t.equal("latest of an empty log", ask(offsetLatest), "NONE 0")
		t.equal("earliest of an empty log", ask(offsetEarliest), "NONE 0")
		t.equal("newest timestamp of an empty log", ask(offsetMaxTimestamp), "NONE -1")
		now := t.stamp(log, 300, 100, 200)
		t.equal("latest", ask(offsetLatest), "NONE 3")
		t.equal("earliest", ask(offsetEarliest), "NONE 0")
		t.equal("earliest local", ask(offsetLocal), "NONE 0")
		t.equal("latest tiered", ask(offsetTiered), "NONE -1")
		top := t.listOffset(log, offsetMaxTimestamp, readUncommitted)
		t.equal("newest timestamp", fmt.Sprint(top.Offset, top.Timestamp-now), "0 300")
	},
}

// stamp appends one batch for each delta to one point in time, in ms, and
// returns that point.
func (t *T) stamp(log partition, deltas ...int64) int64 {
	now := t.longAgo()
	for _, delta := range deltas {
		b := plain("stamped")
		b.timestamp = now + delta
		t.mustCode("Produce", t.produce(log, call{}, b).ErrorCode, codeNone)
	}
	return now
}
