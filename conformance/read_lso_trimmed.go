package conformance

import "fmt"

var readLSOTrimmed = Case{
	ID:          "read/lso/5",
	Title:       "DeleteRecords into an open transaction leaves the last stable offset at the log start or above",
	Requirement: "KIP-107, KIP-98; UnifiedLog.maybeIncrementFirstUnstableOffset",
	Level:       Must,
	Needs:       []Need{api(keyDeleteRecords, 0)},
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv).begin(log)
			p.append(log, 4)
			p.append(log, 1)
			t.mustCode("DeleteRecords before 4", t.deleteRecords(log, 4).ErrorCode, codeNone)
			lso := t.lastStable(log)
			t.record("last stable offset", lso >= 4 && lso <= 5, "4 or 5", fmt.Sprint(lso))
			p.endSettled(true, log)
			t.equal("last stable offset after the commit", t.lastStable(log), 6)
			f := t.fetch(log, fetchCall{offset: 4, isolation: readCommitted})
			t.equal("records shown from the log start", len(visible(f)), 1)
		}
	},
}
