package conformance

import "fmt"

var readAbortedList = Case{
	ID:          "read/aborted/1",
	Title:       "aborted records are returned with a list of aborted transactions, null for read_uncommitted",
	Requirement: "KIP-98; LocalLog.addAbortedTransactions",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			t.fill(log, 1)
			p := t.transactional(tv).begin(log)
			id := p.id
			p.append(log, 2)
			p.append(log, 1)
			p.endSettled(false, log)
			f := t.fetch(log, fetchCall{isolation: readCommitted})
			t.equal("batches returned", len(f.batches), 4)
			t.equal("records shown", len(visible(f)), 1)
			if t.equal("aborted transactions listed", len(f.AbortedTransactions), 1) {
				a := f.AbortedTransactions[0]
				t.equal("producer id and first offset", fmt.Sprint(a.ProducerID, a.FirstOffset), fmt.Sprint(id, 1))
			}
			open := t.fetch(log, fetchCall{})
			t.equal("list is null for read_uncommitted", open.AbortedTransactions == nil, true)
			t.equal("list is null for read_committed", f.AbortedTransactions == nil, false)
		}
	},
}
