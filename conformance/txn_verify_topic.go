package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var txnVerifyTopic = Case{
	ID:          "txn/verify/7",
	Title:       "AddPartitionsToTxn with an unknown topic adds nothing: the others are OPERATION_NOT_ATTEMPTED",
	Requirement: "KIP-98; KafkaApis.handleAddPartitionsToTxnRequest",
	Level:       Must,
	Alone:       true,
	Needs:       tv1(),
	Run: func(t *T) {
		log, p := t.oneLog(), t.transactional(1)
		ghost := &topic{name: t.name("ghost")}
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Version = t.newest(req, 3)
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.txid, p.id, p.epoch
		for _, name := range []string{log.topic.name, ghost.name} {
			one := kmsg.NewAddPartitionsToTxnRequestTopic()
			one.Topic, one.Partitions = name, []int32{0}
			req.Topics = append(req.Topics, one)
		}
		codes := map[string]int16{}
		t.coordinate(transactionCoordinator, p.txid, func(node int32) int16 {
			for _, tp := range ask[*kmsg.AddPartitionsToTxnResponse](t, node, req).Topics {
				codes[tp.Topic] = tp.Partitions[0].ErrorCode
			}
			return codes[log.topic.name]
		})
		t.code("the unknown topic", codes[ghost.name], codeUnknownTopicOrPartition)
		t.code("the topic that exists", codes[log.topic.name], codeOperationNotAttempted)
		t.equal("answers", fmt.Sprint(len(codes)), "2")
		answer := t.produce(log, call{version: at(10), txid: p.txid}, p.batch(0, 1))
		t.code("Produce 10 to the topic that exists", answer.ErrorCode, codeInvalidTxnState)
	},
}
