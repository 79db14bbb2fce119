package conformance

import "fmt"

var readAbortedInside = Case{
	ID:          "read/aborted/4",
	Title:       "a fetch that begins or ends inside of an aborted transaction is told of it",
	Requirement: "KIP-98; TransactionIndex.collectAbortedTxns",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv)
			began := p.begin(log).again()
			for range 3 {
				p.append(log, 1)
			}
			p.endSettled(false, log)
			t.fill(log, 1)
			for from := range int64(4) {
				f := t.fetch(log, fetchCall{offset: from, isolation: readCommitted})
				t.equal(fmt.Sprintf("aborted, read from offset %d", from), told(f, began.id), "[own from 0]")
				t.equal("records shown", len(visible(f)), 1)
			}
			first := t.fetch(log, fetchCall{isolation: readCommitted, maxBytes: 1})
			t.equal("batches of a fetch of 1 byte", len(first.batches), 1)
			t.equal("aborted, as far as that reaches", told(first, began.id), "[own from 0]")
			t.equal("aborted, read from offset 4", told(t.fetch(log, fetchCall{offset: 4, isolation: readCommitted}), began.id), "[]")
		}
	},
}

// told lists the aborted transactions of an answer; those of one producer id are
// its own.
func told(f fetched, id int64) []string {
	all := []string{}
	for _, a := range f.AbortedTransactions {
		whose := "another's"
		if a.ProducerID == id {
			whose = "own"
		}
		all = append(all, fmt.Sprintf("%s from %d", whose, a.FirstOffset))
	}
	return all
}
