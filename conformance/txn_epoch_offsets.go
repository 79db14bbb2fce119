package conformance

var txnEpochOffsets = Case{
	ID:          "txn/epoch/5",
	Title:       "second protocol: a late TxnOffsetCommit of a transaction changes nothing in the next one",
	Requirement: "KIP-890; the epoch of every transaction is its own",
	Level:       Must,
	Needs:       tv2(),
	Run: func(t *T) {
		log, group, p := t.oneLog(), t.newGroup(), t.transactional(2)
		old := p.again()
		p.addOffset(group, log, 5, nil)
		p.end(true)
		settled := func() int64 {
			t.settle("OffsetFetch", func(code int16) bool { return code == codeUnstableOffsetCommit }, func() int16 {
				return t.fetchOffset(group, log, true).code
			})
			return t.fetchOffset(group, log, true).offset
		}
		t.equal("committed offset", settled(), 5)
		t.code("late copy, between two transactions", old.commitOffset(5, group, log, 1, nil), codeInvalidProducerEpoch)
		p.addOffset(group, log, 9, nil)
		t.code("late copy, inside of the next", old.commitOffset(5, group, log, 2, nil), codeInvalidProducerEpoch)
		p.end(true)
		t.equal("committed offset", settled(), 9)
	},
}
