package conformance

var txnEpochLate = Case{
	ID:          "txn/epoch/1",
	Title:       "second protocol: late copies of a transaction change nothing in the next one",
	Requirement: "KIP-890; the epoch of every transaction is its own",
	Level:       Must,
	Needs:       tv2(),
	Run: func(t *T) {
		log, p := t.oneLog(), t.transactional(2)
		old := p.again()
		p.append(log, 1)
		p.endSettled(true, log)
		p.append(log, 1)
		late := t.dialNode(log.leader())
		again := t.produce(log, call{txid: old.txid, on: late}, old.batch(0, 1))
		t.code("late copy of the produce", again.ErrorCode, codeInvalidProducerEpoch)
		next := t.produce(log, call{txid: old.txid, on: late}, old.batch(1, 1))
		t.code("late produce with the next sequence", next.ErrorCode, codeInvalidProducerEpoch)
		for _, commit := range []bool{true, false} {
			t.refused("late copy of the EndTxn", old.endAt(5, commit).ErrorCode)
		}
		t.equal("last stable offset, the second still open", t.lastStable(log), 2)
		p.append(log, 1)
		p.endSettled(true, log)
		t.equal("records shown", len(t.committed(log)), 3)
		t.equal("markers", len(t.markers(log)), 2)
	},
}
