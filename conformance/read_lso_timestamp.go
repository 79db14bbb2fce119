package conformance

import "time"

var readLSOTimestamp = Case{
	ID:          "read/lso/4",
	Title:       "ListOffsets by time with read_committed finds nothing at or behind the last stable offset",
	Requirement: "KIP-98; Partition.fetchOffsetForTimestamp",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv).begin(log)
			b := p.batch(0, 1)
			now := time.Now().UnixMilli()
			b.timestamp = now
			t.mustCode("produce", t.produce(log, p.call(), b).ErrorCode, codeNone)
			t.equal("offset, read_uncommitted", t.listOffset(log, now, readUncommitted).Offset, 0)
			hidden := t.listOffset(log, now, readCommitted)
			t.code("read_committed", hidden.ErrorCode, codeNone)
			t.equal("offset, read_committed", hidden.Offset, -1)
			p.endSettled(true, log)
			t.equal("offset after the commit", t.listOffset(log, now, readCommitted).Offset, 0)
		}
	},
}
