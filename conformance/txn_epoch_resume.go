package conformance

import "fmt"

var txnEpochResume = Case{
	ID:          "txn/epoch/2",
	Title:       "InitProducerId with the own id and epoch bumps the epoch, and answers a retry the same",
	Requirement: "KIP-360; TransactionMetadata.prepareIncrementProducerEpoch",
	Level:       Must,
	Needs:       []Need{api(keyInitProducerID, 4)},
	Run: func(t *T) {
		p := t.transactional(1)
		c := initCall{txid: p.txid, resume: true, id: p.id, epoch: p.epoch}
		for _, what := range []string{"with the current epoch", "once more, its answer lost"} {
			answer := t.initProducerID(c)
			t.code("InitProducerId "+what, answer.ErrorCode, codeNone)
			t.equal("producer id and epoch", fmt.Sprint(answer.ProducerID, answer.ProducerEpoch), fmt.Sprint(p.id, p.epoch+1))
		}
		c.epoch = p.epoch + 1
		t.code("InitProducerId with the bumped epoch", t.initProducerID(c).ErrorCode, codeNone)
		c.epoch = p.epoch
		t.code("InitProducerId two epochs back", t.initProducerID(c).ErrorCode, codeProducerFenced)
	},
}
