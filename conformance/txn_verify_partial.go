package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var txnVerifyPartial = Case{
	ID:          "txn/verify/6",
	Title:       "of one Produce only the partition that was not added is refused",
	Requirement: "KIP-890 part 1; ReplicaManager.appendRecords verifies by partition",
	Level:       Must,
	Alone:       true,
	Needs:       tv1(),
	Run: func(t *T) {
		t.races() // which partition the answer tells of first
		tp, p := t.together(2), t.transactional(1)
		p.begin(tp.at(0))
		req := t.produceRequest(tp.at(0), call{version: at(10), txid: p.txid}, p.batch(0, 1).encode())
		other := kmsg.NewProduceRequestTopicPartition()
		other.Partition, other.Records = 1, p.batch(0, 1).encode()
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, other)
		resp := ask[*kmsg.ProduceResponse](t, tp.leaders[0], req)
		codes := map[int32]string{}
		for _, one := range resp.Topics {
			for _, part := range one.Partitions {
				codes[part.Partition] = codeName(part.ErrorCode)
			}
		}
		t.equal("codes by partition", fmt.Sprint(codes), fmt.Sprint(map[int32]string{0: "NONE", 1: codeName(codeInvalidTxnState)}))
		p.endSettled(true, tp.at(0))
		t.equal("records shown", len(t.committed(tp.at(0))), 1)
		t.equal("high watermark of the other", t.highWatermark(tp.at(1)), 0)
	},
}
