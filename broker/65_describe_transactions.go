package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
)

// DescribeTransactions: v0
//
//   - Answers what the coordinator knows of each transactional id (KIP-664).
//   - A transaction whose markers are being written still shows its partitions.
func (b *Broker) describeTransactions(ctx context.Context, req *kmsg.DescribeTransactionsRequest, resp *kmsg.DescribeTransactionsResponse) error {
	for _, id := range req.TransactionalIDs {
		answer := kmsg.NewDescribeTransactionsResponseTransactionState()
		answer.TransactionalID = id
		t, err := b.txns.Describe(ctx, id)
		b.logUnexpected("transaction not described", err, "transactional_id", id)
		answer.ErrorCode = protocol.Code(err)
		if err == nil {
			answer.State = t.State.String()
			answer.TimeoutMillis = int32(t.Timeout.Milliseconds())
			answer.StartTimestamp = t.StartTime
			answer.ProducerID, answer.ProducerEpoch = t.ProducerID, t.ProducerEpoch
			for i, p := range t.Participants { // sorted by topic
				if i == 0 || p.Topic != t.Participants[i-1].Topic {
					topic := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
					topic.Topic = p.Topic
					answer.Topics = append(answer.Topics, topic)
				}
				last := &answer.Topics[len(answer.Topics)-1]
				last.Partitions = append(last.Partitions, p.Partition)
			}
		}
		resp.TransactionStates = append(resp.TransactionStates, answer)
	}
	return nil
}
