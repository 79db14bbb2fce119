package conformance

import "fmt"

var txnMappingEnd = Case{
	ID:          "txn/mapping/1",
	Title:       "EndTxn with the producer id of another transactional id changes nothing",
	Requirement: "KIP-98; TransactionCoordinator.endTransaction",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			a, b := t.transactional(tv), t.transactional(tv).begin(log)
			b.append(log, 1)
			mixed := b.again()
			mixed.txid = a.txid
			name := fmt.Sprintf("protocol %d: EndTxn of one id with the producer id of another", tv)
			t.code(name, mixed.endAt(mixed.endVersion(), true).ErrorCode, codeInvalidPIDMapping)
			t.equal("last stable offset, the transaction still open", t.lastStable(log), 0)
			b.append(log, 1)
			b.endSettled(true, log)
			t.equal("records committed", len(t.committed(log)), 2)
		}
	},
}
