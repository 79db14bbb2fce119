package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol"
)

// DescribeProducers: v0
//
//   - Answers what a partition's leader remembers of each producer: epoch, last
//     sequence and, where one is open, its transaction's first offset (KIP-664).
func (b *Broker) describeProducers(_ context.Context, req *kmsg.DescribeProducersRequest, resp *kmsg.DescribeProducersResponse) error {
	for _, t := range req.Topics {
		topic := kmsg.NewDescribeProducersResponseTopic()
		topic.Topic = t.Topic
		for _, id := range t.Partitions {
			answer := kmsg.NewDescribeProducersResponseTopicPartition()
			answer.Partition = id
			p, err := b.partitionByName(t.Topic, id)
			if err == nil {
				err = b.leading(p, -1)
			}
			if err == nil {
				for _, known := range p.Log().Producers() {
					answer.ActiveProducers = append(answer.ActiveProducers, describeProducer(known))
				}
			}
			answer.ErrorCode, answer.ErrorMessage = protocol.Code(err), protocol.Message(err)
			topic.Partitions = append(topic.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return nil
}

func describeProducer(known log.ProducerState) kmsg.DescribeProducersResponseTopicPartitionActiveProducer {
	one := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
	one.ProducerID, one.ProducerEpoch = known.ProducerID, int32(known.Epoch)
	one.LastSequence, one.LastTimestamp = known.LastSequence, known.LastTimestamp
	one.CoordinatorEpoch, one.CurrentTxnStartOffset = known.CoordinatorEpoch, known.TxnFirstOffset
	return one
}
