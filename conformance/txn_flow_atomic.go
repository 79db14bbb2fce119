package conformance

var txnFlowAtomic = Case{
	ID:          "txn/flow/5",
	Title:       "records on several topics stay hidden until the commit and then all show",
	Requirement: "KIP-98; atomicity across partitions",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			a, b := t.newTopic(2), t.newTopic(1)
			logs := []partition{a.at(0), a.at(1), b.at(0)}
			p := t.transactional(tv).begin(logs...)
			for _, log := range logs {
				p.append(log, 2)
				t.equal("records shown before the commit", len(t.committed(log)), 0)
			}
			p.endSettled(true, logs...)
			for _, log := range logs {
				t.equal("records shown after the commit", len(t.committed(log)), 2)
			}
		}
	},
}
