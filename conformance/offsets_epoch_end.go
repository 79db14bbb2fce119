package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var offsetsEpochEnd = Case{
	ID:          "offsets/epoch/1",
	Title:       "OffsetForLeaderEpoch answers the log end for the current epoch, -1 for one to come",
	Requirement: "KIP-279, KIP-320; UnifiedLog.endOffsetForEpoch",
	Level:       Must,
	Needs:       []Need{api(keyOffsetForLeaderEpoch, 2)},
	Run: func(t *T) {
		log := t.oneLog()
		t.fill(log, 3)
		current := log.topic.epochs[0]
		for version := int16(2); version <= min(4, t.cluster.apis[keyOffsetForLeaderEpoch].max); version++ {
			now := t.epochEnd(version, log, -1, current)
			t.equal("current epoch", fmt.Sprint(codeName(now.ErrorCode), now.LeaderEpoch, now.EndOffset), fmt.Sprint("NONE", current, 3))
			next := t.epochEnd(version, log, -1, current+1)
			t.equal("an epoch to come", fmt.Sprint(codeName(next.ErrorCode), next.LeaderEpoch, next.EndOffset), "NONE-1 -1")
			t.code("asked with a newer epoch", t.epochEnd(version, log, current+1, current).ErrorCode, codeUnknownLeaderEpoch)
		}
	},
}

// epochEnd asks the leader where an epoch ends; current is the epoch the
// asker believes in, or -1.
func (t *T) epochEnd(version int16, p partition, current, epoch int32) kmsg.OffsetForLeaderEpochResponseTopicPartition {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version, req.ReplicaID = version, -1
	one := kmsg.NewOffsetForLeaderEpochRequestTopic()
	part := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	part.Partition, part.CurrentLeaderEpoch, part.LeaderEpoch = p.index, current, epoch
	one.Topic, one.Partitions = p.topic.name, append(one.Partitions, part)
	req.Topics = append(req.Topics, one)
	resp := ask[*kmsg.OffsetForLeaderEpochResponse](t, p.leader(), req)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.fatalf("OffsetForLeaderEpoch", "1 partition answered", "%d topics", len(resp.Topics))
	}
	return resp.Topics[0].Partitions[0]
}
