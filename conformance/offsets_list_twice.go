package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var offsetsListTwice = Case{
	ID:          "offsets/list/6",
	Title:       "a partition that ListOffsets names twice is INVALID_REQUEST, others are answered",
	Requirement: "ListOffsetsRequest.duplicatePartitions",
	Level:       Should,
	Run: func(t *T) {
		tp := t.together(2)
		t.fill(tp.at(1), 1)
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID, req.TimeoutMillis = t.newest(req, -1), -1, 10000
		one := kmsg.NewListOffsetsRequestTopic()
		one.Topic = tp.name
		for _, index := range []int32{0, 1, 0} {
			part := kmsg.NewListOffsetsRequestTopicPartition()
			part.Partition, part.Timestamp, part.CurrentLeaderEpoch = index, offsetLatest, -1
			one.Partitions = append(one.Partitions, part)
		}
		req.Topics = append(req.Topics, one)
		for _, topic := range ask[*kmsg.ListOffsetsResponse](t, tp.at(0).leader(), req).Topics {
			for _, p := range topic.Partitions {
				if p.Partition == 0 {
					t.code("named twice", p.ErrorCode, codeInvalidRequest)
					continue
				}
				t.code("named once", p.ErrorCode, codeNone)
				t.equal("its latest offset", p.Offset, 1)
			}
		}
	},
}
