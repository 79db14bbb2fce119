package conformance

var txnVerifyOffsetsAdds = Case{
	ID:          "txn/verify/5",
	Title:       "TxnOffsetCommit 5 adds its group to the transaction",
	Requirement: "KIP-890 part 2",
	Level:       Must,
	Alone:       true,
	Needs:       tv2(),
	Run: func(t *T) {
		log, p, group := t.oneLog(), t.transactional(2), t.newGroup()
		t.code("TxnOffsetCommit 5, group not added", p.commitOffset(5, group, log, 3, nil), codeNone)
		p.end(true)
		t.settle("offsets settle", func(code int16) bool { return code == codeUnstableOffsetCommit }, func() int16 {
			return t.fetchOffset(group, log, true).code
		})
		t.equal("committed offset", t.fetchOffset(group, log, true).offset, 3)
	},
}
