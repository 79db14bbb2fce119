package conformance

import "fmt"

var txnVerifyOffsetsOld = Case{
	ID:          "txn/verify/4",
	Title:       "TxnOffsetCommit of a group not added is INVALID_TXN_STATE to 3, TRANSACTION_ABORTABLE at 4",
	Requirement: "KIP-890 part 1; GroupCoordinator.commitTransactionalOffsets",
	Level:       Must,
	Alone:       true,
	Needs:       append(tv1(), api(keyTxnOffsetCommit, 4)),
	Run: func(t *T) {
		log, p, group := t.oneLog(), t.transactional(1), t.newGroup()
		p.begin(log)
		for version, want := range []int16{codeInvalidTxnState, codeInvalidTxnState, codeInvalidTxnState, codeInvalidTxnState, codeTransactionAbortable} {
			t.code(fmt.Sprintf("TxnOffsetCommit %d, group not added", version), p.commitOffset(int16(version), group, log, 3, nil), want)
		}
		t.equal("committed offset", t.fetchOffset(group, log, true).offset, -1)
	},
}
