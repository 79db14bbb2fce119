package conformance

var txnFlowSwitch = Case{
	ID:          "txn/flow/4",
	Title:       "clients of both protocols take turns on one transactional id",
	Requirement: "KIP-890; the protocol follows the request version",
	Level:       Must,
	Needs:       append(tv1(), tv2()...),
	Run: func(t *T) {
		log, txid := t.oneLog(), t.name("txid")
		for i, tv := range []int{1, 2, 1, 2} {
			p := t.producerOf(txid, tv)
			for _, commit := range []bool{true, false} {
				p.begin(log)
				p.append(log, 1)
				p.endSettled(commit, log)
			}
			t.equal("records shown", len(t.committed(log)), i+1)
		}
	},
}
