package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var topicCreatePartitions = Case{
	ID:          "topic/create/3",
	Title:       "CreatePartitions adds partitions and refuses to take any away",
	Requirement: "KIP-195",
	Level:       Must,
	Needs:       []Need{api(keyCreatePartitions, 0)},
	Run: func(t *T) {
		tp := t.newTopic(2)
		t.fill(tp.at(1), 1)
		t.code("to 1", t.createPartitions(tp.name, 1), codeInvalidPartitions)
		t.code("to 2, as it is", t.createPartitions(tp.name, 2), codeInvalidPartitions)
		t.code("to 4", t.createPartitions(tp.name, 4), codeNone)
		t.until("metadata", func() (string, bool) { return t.located(tp, 4) })
		t.fill(tp.at(3), 2)
		t.equal("high watermark of the new one", t.highWatermark(tp.at(3)), 2)
		t.equal("high watermark of an old one", t.highWatermark(tp.at(1)), 1)
		t.code("of an unknown topic", t.createPartitions(t.name("ghost"), 4), codeUnknownTopicOrPartition)
	},
}

// createPartitions asks for a number of partitions of one topic.
func (t *T) createPartitions(name string, count int32) int16 {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version = t.newest(req, -1)
	req.TimeoutMillis = 10000
	one := kmsg.NewCreatePartitionsRequestTopic()
	one.Topic, one.Count = name, count
	req.Topics = append(req.Topics, one)
	resp := ask[*kmsg.CreatePartitionsResponse](t, t.any(), req)
	if len(resp.Topics) != 1 {
		t.fatalf("CreatePartitions", "1 topic", "%d topics", len(resp.Topics))
	}
	return resp.Topics[0].ErrorCode
}
