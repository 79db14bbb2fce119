package conformance

var readAbortedRange = Case{
	ID:          "read/aborted/3",
	Title:       "the aborted list covers the offsets fetched, not the whole log",
	Requirement: "KIP-98; TransactionIndex.collectAbortedTxns",
	Level:       Should,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv)
			for range 3 {
				p.begin(log)
				p.append(log, 1)
				p.endSettled(false, log)
			}
			t.fill(log, 1)
			whole := t.fetch(log, fetchCall{isolation: readCommitted})
			t.equal("listed from offset 0", len(whole.AbortedTransactions), 3)
			middle := t.fetch(log, fetchCall{offset: 2, isolation: readCommitted})
			t.equal("listed from offset 2, behind the first marker", len(middle.AbortedTransactions), 2)
			tail := t.fetch(log, fetchCall{offset: 6, isolation: readCommitted})
			t.equal("listed from offset 6, behind all markers", len(tail.AbortedTransactions), 0)
		}
	},
}
