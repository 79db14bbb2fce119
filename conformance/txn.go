package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// transactionTimeout is the timeout of the transactions cases open, in ms.
const transactionTimeout = 30000

// isTransactionEnding is the answer while markers of the former transaction
// are on their way, and what Kafka turns it into for Produce below 12.
func isTransactionEnding(code int16) bool {
	return code == codeConcurrentTransactions || isCoordinatorMoving(code)
}

// An initCall is one InitProducerId. The zero call asks for a new producer id.
type initCall struct {
	version *int16
	txid    string
	timeout int32 // ms; 0: transactionTimeout
	resume  bool  // carry id and epoch (KIP-360)
	id      int64
	epoch   int16
}

// initProducerID asks once; only a moving coordinator is asked again.
func (t *T) initProducerID(c initCall) *kmsg.InitProducerIDResponse {
	req := kmsg.NewPtrInitProducerIDRequest()
	limit := int16(5)
	if c.version != nil {
		limit = *c.version
	}
	req.Version = t.newest(req, limit)
	req.TransactionTimeoutMillis = transactionTimeout
	if c.timeout != 0 {
		req.TransactionTimeoutMillis = c.timeout
	}
	req.ProducerID, req.ProducerEpoch = -1, -1
	if c.resume {
		req.ProducerID, req.ProducerEpoch = c.id, c.epoch
	}
	var resp *kmsg.InitProducerIDResponse
	if c.txid == "" {
		t.settle("InitProducerId", isCoordinatorMoving, func() int16 {
			resp = ask[*kmsg.InitProducerIDResponse](t, t.any(), req)
			return resp.ErrorCode
		})
		return resp
	}
	req.TransactionalID = &c.txid
	t.coordinate(transactionCoordinator, c.txid, func(node int32) int16 {
		resp = ask[*kmsg.InitProducerIDResponse](t, node, req)
		return resp.ErrorCode
	})
	return resp
}

// initSettled asks until the transaction before it has ended.
func (t *T) initSettled(c initCall) *kmsg.InitProducerIDResponse {
	var resp *kmsg.InitProducerIDResponse
	t.settle("InitProducerId "+c.txid, isTransactionEnding, func() int16 {
		resp = t.initProducerID(c)
		return resp.ErrorCode
	})
	return resp
}

// transactional is a producer with a new transactional id, speaking the first
// (tv 1) or the second (tv 2) transaction protocol.
func (t *T) transactional(tv int) *producer {
	return t.producerOf(t.name("txid"), tv)
}

// producerOf initialises a producer under a transactional id.
func (t *T) producerOf(txid string, tv int) *producer {
	answer := t.initSettled(initCall{txid: txid})
	t.mustCode("InitProducerId "+txid, answer.ErrorCode, codeNone)
	return &producer{t: t, txid: txid, id: answer.ProducerID, epoch: answer.ProducerEpoch, tv: tv, next: map[partition]int32{}}
}

// addPartitions asks AddPartitionsToTxn once, at a version of 0-3, and
// returns the code of the first partition.
func (p *producer) addPartitions(version int16, parts ...partition) int16 {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version = p.t.newest(req, min(version, 3))
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.txid, p.id, p.epoch
	for _, part := range parts {
		one := kmsg.NewAddPartitionsToTxnRequestTopic()
		one.Topic, one.Partitions = part.topic.name, []int32{part.index}
		if last := len(req.Topics) - 1; last >= 0 && req.Topics[last].Topic == one.Topic {
			req.Topics[last].Partitions = append(req.Topics[last].Partitions, part.index)
			continue
		}
		req.Topics = append(req.Topics, one)
	}
	return p.t.coordinate(transactionCoordinator, p.txid, func(node int32) int16 {
		resp := ask[*kmsg.AddPartitionsToTxnResponse](p.t, node, req)
		if len(resp.Topics) == 0 || len(resp.Topics[0].Partitions) == 0 {
			p.t.fatalf("AddPartitionsToTxn", "the partitions answered", "none")
		}
		return resp.Topics[0].Partitions[0].ErrorCode
	})
}

// begin opens a transaction: the first protocol names its partitions, the
// second adds them with the first produce.
func (p *producer) begin(parts ...partition) *producer {
	if p.tv != 1 {
		return p
	}
	code := p.t.settle("AddPartitionsToTxn", isTransactionEnding, func() int16 { return p.addPartitions(3, parts...) })
	p.t.mustCode("AddPartitionsToTxn", code, codeNone)
	return p
}

// addOffsets asks AddOffsetsToTxn once.
func (p *producer) addOffsets(version int16, group string) int16 {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.Version = p.t.newest(req, version)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.txid, p.id, p.epoch, group
	return p.t.coordinate(transactionCoordinator, p.txid, func(node int32) int16 {
		return ask[*kmsg.AddOffsetsToTxnResponse](p.t, node, req).ErrorCode
	})
}

// endAt asks EndTxn once at a version.
func (p *producer) endAt(version int16, commit bool) *kmsg.EndTxnResponse {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version = p.t.newest(req, version)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.txid, p.id, p.epoch, commit
	var resp *kmsg.EndTxnResponse
	p.t.coordinate(transactionCoordinator, p.txid, func(node int32) int16 {
		resp = ask[*kmsg.EndTxnResponse](p.t, node, req)
		return resp.ErrorCode
	})
	return resp
}

// endFinally is the code of EndTxn once no former end is in the way.
func (p *producer) endFinally(commit bool) int16 {
	return p.t.settle("EndTxn", isTransactionEnding, func() int16 { return p.endAt(p.endVersion(), commit).ErrorCode })
}

// endVersion is EndTxn's version in the protocol of this producer.
func (p *producer) endVersion() int16 {
	if p.tv == 1 {
		return 4
	}
	return 5
}

// end ends the transaction; it must succeed. In the second protocol the
// producer goes on with the id and epoch of the answer.
func (p *producer) end(commit bool) {
	var resp *kmsg.EndTxnResponse
	code := p.t.settle("EndTxn", isTransactionEnding, func() int16 {
		resp = p.endAt(p.endVersion(), commit)
		return resp.ErrorCode
	})
	p.t.mustCode(fmt.Sprintf("EndTxn commit=%t", commit), code, codeNone)
	if p.tv == 2 {
		p.id, p.epoch = resp.ProducerID, resp.ProducerEpoch
		clear(p.next)
	}
}

// endSettled ends the transaction and waits until its markers are written.
func (p *producer) endSettled(commit bool, parts ...partition) {
	p.end(commit)
	for _, part := range parts {
		p.t.stable(part)
	}
}

// again is a copy of the producer as it is now: what a zombie remembers.
func (p *producer) again() *producer {
	old := *p
	old.next = map[partition]int32{}
	for k, v := range p.next {
		old.next[k] = v
	}
	return &old
}

type initResponse = *kmsg.InitProducerIDResponse

// initRequest builds an InitProducerId that no helper has made right.
func initRequest(txid string) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &txid, transactionTimeout
	req.ProducerID, req.ProducerEpoch = -1, -1
	return req
}
