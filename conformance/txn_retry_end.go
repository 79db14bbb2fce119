package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var txnRetryEnd = Case{
	ID:          "txn/retry/1",
	Title:       "EndTxn v5 asked again with the old epoch answers as before; the other result is refused",
	Requirement: "KIP-890; TransactionCoordinator.endTransaction, isRetry",
	Level:       Must,
	Needs:       tv2(),
	Run: func(t *T) {
		for _, commit := range []bool{true, false} {
			log, p := t.oneLog(), t.transactional(2)
			p.append(log, 1)
			old := p.again()
			p.endSettled(commit, log)
			t.equal("epoch after the first answer", p.epoch, old.epoch+1)
			end := func(commit bool) (answer *kmsg.EndTxnResponse) {
				t.settle("EndTxn", isTransactionEnding, func() int16 {
					answer = old.endAt(5, commit)
					return answer.ErrorCode
				})
				return answer
			}
			for range 2 {
				again := end(commit)
				t.code("the same once more", again.ErrorCode, codeNone)
				t.equal("its producer id", again.ProducerID, old.id)
				t.equal("its epoch", again.ProducerEpoch, old.epoch+1)
			}
			t.code("the opposite with the old epoch", end(!commit).ErrorCode, codeInvalidTxnState)
			t.equal("markers", len(t.markers(log)), 1)
		}
	},
}
