package conformance

import "github.com/twmb/franz-go/pkg/kmsg"

var offsetsRecordsDelete = Case{
	ID:          "offsets/records/1",
	Title:       "DeleteRecords moves the log start, to the high watermark with -1, never beyond",
	Requirement: "KIP-107; Partition.deleteRecordsOnLeader",
	Level:       Must,
	Needs:       []Need{api(keyDeleteRecords, 0)},
	Run: func(t *T) {
		log := t.oneLog()
		t.fill(log, 5)
		cut := t.deleteRecords(log, 2)
		t.code("DeleteRecords before 2", cut.ErrorCode, codeNone)
		t.equal("low watermark", cut.LowWatermark, 2)
		t.equal("earliest", t.listOffset(log, offsetEarliest, readUncommitted).Offset, 2)
		t.code("fetch below the log start", t.fetch(log, fetchCall{offset: 1}).ErrorCode, codeOffsetOutOfRange)
		t.equal("log start told by a fetch", t.fetch(log, fetchCall{offset: 2}).LogStartOffset, 2)
		t.code("DeleteRecords above the high watermark", t.deleteRecords(log, 9).ErrorCode, codeOffsetOutOfRange)
		t.equal("DeleteRecords below the log start", t.deleteRecords(log, 1).LowWatermark, 2)
		t.equal("DeleteRecords before -1", t.deleteRecords(log, -1).LowWatermark, 5)
		t.fill(log, 1)
		t.equal("latest after a produce", t.highWatermark(log), 6)
	},
}

// deleteRecords asks the leader to drop what lies before an offset.
func (t *T) deleteRecords(p partition, before int64) kmsg.DeleteRecordsResponseTopicPartition {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version = t.newest(req, -1)
	req.TimeoutMillis = 10000
	one := kmsg.NewDeleteRecordsRequestTopic()
	part := kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Partition, part.Offset = p.index, before
	one.Topic, one.Partitions = p.topic.name, append(one.Partitions, part)
	req.Topics = append(req.Topics, one)
	resp := ask[*kmsg.DeleteRecordsResponse](t, p.leader(), req)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.fatalf("DeleteRecords", "1 partition answered", "%d topics", len(resp.Topics))
	}
	return resp.Topics[0].Partitions[0]
}
