package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var txnDescribeProducers = Case{
	ID:          "txn/describe/2",
	Title:       "DescribeProducers shows epoch, last sequence and where the open transaction begins",
	Requirement: "KIP-664; ProducerStateManager.activeProducers",
	Level:       Must,
	Needs:       []Need{api(keyDescribeProducers, 0)},
	Run: func(t *T) {
		for _, tv := range t.protocols() {
			log, p := t.oneLog(), t.transactional(tv)
			t.fill(log, 2)
			p.begin(log)
			p.append(log, 3)
			seen := func() string {
				s := t.activeProducer(log, p.id)
				return fmt.Sprintf("epoch %d sequence %d from %d", s.ProducerEpoch, s.LastSequence, s.CurrentTxnStartOffset)
			}
			t.equal("while open", seen(), fmt.Sprintf("epoch %d sequence 2 from 2", p.epoch))
			p.endSettled(true, log)
			t.equal("offset of an open transaction after the end", t.activeProducer(log, p.id).CurrentTxnStartOffset, -1)
			t.equal("epoch after the end", t.activeProducer(log, p.id).ProducerEpoch, p.epoch)
		}
	},
}

// activeProducer is what the leader knows of one producer id.
func (t *T) activeProducer(p partition, id int64) (seen kmsg.DescribeProducersResponseTopicPartitionActiveProducer) {
	req := kmsg.NewPtrDescribeProducersRequest()
	one := kmsg.NewDescribeProducersRequestTopic()
	one.Topic, one.Partitions = p.topic.name, []int32{p.index}
	req.Topics = append(req.Topics, one)
	resp := ask[*kmsg.DescribeProducersResponse](t, p.leader(), req)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.fatalf("DescribeProducers", "1 partition answered", "%d topics", len(resp.Topics))
	}
	part := resp.Topics[0].Partitions[0]
	t.mustCode("DescribeProducers", part.ErrorCode, codeNone)
	for _, s := range part.ActiveProducers {
		if s.ProducerID == id {
			return s
		}
	}
	t.fatalf("DescribeProducers", fmt.Sprintf("producer id %d", id), "%d others", len(part.ActiveProducers))
	return seen
}
