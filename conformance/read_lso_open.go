package conformance

import "fmt"

var readLSOOpen = Case{
	ID:          "read/lso/1",
	Title:       "an open transaction holds the last stable offset while the high watermark goes on",
	Requirement: "KIP-98; UnifiedLog.lastStableOffset, ListOffsets per isolation level",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			t.fill(log, 1)
			p := t.transactional(tv).begin(log)
			p.append(log, 2)
			t.fill(log, 1)
			t.equal("latest, read_uncommitted", t.highWatermark(log), 4)
			t.equal("latest, read_committed", t.lastStable(log), 1)
			f := t.fetch(log, fetchCall{isolation: readCommitted})
			t.equal("LSO and HW of a fetch", fmt.Sprintf("%d %d", f.LastStableOffset, f.HighWatermark), "1 4")
			p.endSettled(true, log)
			t.equal("latest after the commit, read_committed", t.lastStable(log), 5)
		}
	},
}
