package conformance

import (
	"fmt"
	"time"
)

var txnTimeoutAbort = Case{
	ID:          "txn/timeout/1",
	Title:       "a transaction past its timeout is aborted and its producer fenced",
	Requirement: "KIP-98; TransactionCoordinator.abortTimedOutTransactions (Kafka looks every 10 s)",
	Level:       Must,
	Run: func(t *T) {
		tp := t.newTopic(2)
		var producers []*producer
		started := time.Now()
		for i, tv := range t.protocols() {
			c := initCall{txid: t.name("txid"), timeout: 1000}
			answer := t.initProducerID(c)
			t.mustCode("InitProducerId", answer.ErrorCode, codeNone)
			p := &producer{t: t, txid: c.txid, id: answer.ProducerID, epoch: answer.ProducerEpoch, tv: tv, next: map[partition]int32{}}
			p.begin(tp.at(int32(i))).append(tp.at(int32(i)), 1)
			producers = append(producers, p)
		}
		for i, p := range producers {
			log := tp.at(int32(i))
			t.stable(log)
			t.observe("time until it was aborted", time.Since(started).Round(100*time.Millisecond).String())
			t.equal("records shown", len(t.committed(log)), 0)
			name := fmt.Sprintf("protocol %d: ", p.tv)
			t.code(name+"produce after it", p.send(log, 1, 1).ErrorCode, codeInvalidProducerEpoch)
			// To the second protocol the old epoch is a retry of an end that was an abort.
			t.code(name+"commit after it", p.endFinally(true), codeProducerFenced, codeInvalidTxnState)
			next := t.producerOf(p.txid, p.tv)
			next.begin(log).append(log, 1)
			next.endSettled(true, log)
			t.equal("records shown of the successor", len(t.committed(log)), 1)
		}
	},
}
