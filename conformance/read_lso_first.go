package conformance

var readLSOFirst = Case{
	ID:          "read/lso/2",
	Title:       "of several open transactions the first one holds the last stable offset",
	Requirement: "KIP-98; ProducerStateManager.firstUnstableOffset",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			a, b := t.transactional(tv).begin(log), t.transactional(tv).begin(log)
			a.append(log, 1)
			b.append(log, 1)
			b.end(true)
			t.until("the marker of the second", func() (string, bool) { return "not there", t.highWatermark(log) == 3 })
			t.equal("last stable offset, the first still open", t.lastStable(log), 0)
			t.equal("records shown", len(t.committed(log)), 0)
			a.endSettled(false, log)
			t.equal("last stable offset, both ended", t.lastStable(log), 4)
			t.equal("records shown", len(t.committed(log)), 1)
		}
	},
}
