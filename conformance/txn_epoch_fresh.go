package conformance

var txnEpochFresh = Case{
	ID:          "txn/epoch/3",
	Title:       "InitProducerId without a transactional id gives every producer an id of its own",
	Requirement: "KIP-98; ProducerIdManager",
	Level:       Must,
	Run: func(t *T) {
		seen := map[int64]bool{}
		for range 20 {
			answer := t.initProducerID(initCall{})
			t.mustCode("InitProducerId", answer.ErrorCode, codeNone)
			t.equal("epoch", answer.ProducerEpoch, 0)
			if seen[answer.ProducerID] {
				t.fatalf("producer id", "never given before", "%d given twice", answer.ProducerID)
			}
			seen[answer.ProducerID] = true
		}
	},
}
