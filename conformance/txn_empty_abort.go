package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var txnEmptyAbort = Case{
	ID:          "txn/empty/2",
	Title:       "EndTxn v5 abort of an empty transaction succeeds and bumps the epoch",
	Requirement: "KIP-890; TransactionCoordinator.endTransaction",
	Level:       Must,
	Needs:       tv2(),
	Run: func(t *T) {
		p := t.transactional(2)
		for _, when := range []string{"before any transaction", "a second time", "after a commit"} {
			var answer *kmsg.EndTxnResponse
			t.settle("EndTxn", isTransactionEnding, func() int16 {
				answer = p.endAt(5, false)
				return answer.ErrorCode
			})
			t.mustCode("abort "+when, answer.ErrorCode, codeNone)
			t.equal("producer id", answer.ProducerID, p.id)
			t.equal("epoch", answer.ProducerEpoch, p.epoch+1)
			p.epoch = answer.ProducerEpoch
			if when == "a second time" {
				log := t.oneLog()
				p.append(log, 1)
				p.endSettled(true, log)
			}
		}
	},
}
