package conformance

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	readUncommitted int8 = 0
	readCommitted   int8 = 1
)

// The timestamps with a meaning of their own (ListOffsets).
const (
	offsetLatest       int64 = -1
	offsetEarliest     int64 = -2
	offsetMaxTimestamp int64 = -3
	offsetLocal        int64 = -4
	offsetTiered       int64 = -5
)

// listOffset asks the leader for one timestamp.
func (t *T) listOffset(p partition, timestamp int64, isolation int8) kmsg.ListOffsetsResponseTopicPartition {
	return t.listOffsetAt(-1, p, timestamp, isolation)
}

// listOffsetAt asks at a version, negative for the newest.
func (t *T) listOffsetAt(version int16, p partition, timestamp int64, isolation int8) kmsg.ListOffsetsResponseTopicPartition {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = t.newest(req, version)
	req.IsolationLevel = isolation
	req.ReplicaID = -1
	req.TimeoutMillis = 10000
	one := kmsg.NewListOffsetsRequestTopic()
	one.Topic = p.topic.name
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Partition, part.Timestamp, part.CurrentLeaderEpoch = p.index, timestamp, -1
	one.Partitions = append(one.Partitions, part)
	req.Topics = append(req.Topics, one)
	resp := ask[*kmsg.ListOffsetsResponse](t, p.leader(), req)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.fatalf("ListOffsets", "1 partition answered", "%d topics", len(resp.Topics))
	}
	return resp.Topics[0].Partitions[0]
}

// highWatermark is ListOffsets latest, read uncommitted.
func (t *T) highWatermark(p partition) int64 {
	answer := t.listOffset(p, offsetLatest, readUncommitted)
	t.mustCode("ListOffsets latest, read_uncommitted", answer.ErrorCode, codeNone)
	return answer.Offset
}

// lastStable is ListOffsets latest, read committed.
func (t *T) lastStable(p partition) int64 {
	answer := t.listOffset(p, offsetLatest, readCommitted)
	t.mustCode("ListOffsets latest, read_committed", answer.ErrorCode, codeNone)
	return answer.Offset
}

// stable waits until nothing of the partition is undecided and returns the
// offset where it ends.
func (t *T) stable(p partition) int64 {
	var end int64
	t.until("last stable offset reaches the high watermark", func() (string, bool) {
		lso, hw := t.lastStable(p), t.highWatermark(p)
		end = hw
		return fmt.Sprintf("LSO %d, HW %d", lso, hw), lso == hw
	})
	return end
}

// longAgo is a time an hour back, in ms: no record of it lies ahead of the
// broker's clock.
func (t *T) longAgo() int64 { return time.Now().Add(-time.Hour).UnixMilli() }
