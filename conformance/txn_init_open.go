package conformance

import "fmt"

var txnInitOpen = Case{
	ID:          "txn/init/1",
	Title:       "InitProducerId while a transaction is open ends with a bumped epoch",
	Requirement: "KIP-98, KIP-890; TransactionCoordinator.handleInitProducerId",
	Level:       Must,
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log := t.oneLog()
			p := t.transactional(tv).begin(log)
			p.append(log, 1)
			first := t.initProducerID(initCall{txid: p.txid})
			t.code("InitProducerId with a transaction open", first.ErrorCode, codeConcurrentTransactions, codeNone)
			settled := t.initSettled(initCall{txid: p.txid})
			t.mustCode("InitProducerId once it has ended", settled.ErrorCode, codeNone)
			t.record("producer id and epoch", settled.ProducerID != p.id || settled.ProducerEpoch > p.epoch,
				fmt.Sprintf("newer than %d/%d", p.id, p.epoch), fmt.Sprintf("%d/%d", settled.ProducerID, settled.ProducerEpoch))
		}
	},
}
