package broker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/planted"
	"github.com/oncelog/oncelog/replication"
)

// Timestamps of ListOffsets that stand for a place in the log. Source:
// org.apache.kafka.common.requests.ListOffsetsRequest.
const (
	latest          = -1
	earliest        = -2
	maxTimestamp    = -3
	earliestLocal   = -4
	latestTiered    = -5
	earliestPending = -6
)

// specialSince is, for each special timestamp, the version that brought it.
var specialSince = map[int64]int16{latest: 0, earliest: 0, maxTimestamp: 7, earliestLocal: 8, latestTiered: 9, earliestPending: 11}

// readCommitted is the isolation level that hides open and aborted transactions.
const readCommitted = 1

// ListOffsets: v1-11
//
//   - The latest offset is the high watermark, or the last stable offset for
//     readers of committed data.
//   - Where nobody leads yet it waits up to 500 ms, and then answers
//     OFFSET_NOT_AVAILABLE, below v5 LEADER_NOT_AVAILABLE.
//   - A time that no visible record has reached answers offset -1, timestamp -1.
//   - There is no tiered storage: the earliest local offset is the earliest, and
//     nothing is tiered or pending.
//
// Versions: v2 isolation level; v4 current leader epoch; v7 max timestamp
// (KIP-734); v8 earliest local (KIP-405); v9 latest tiered (KIP-1005); v11
// earliest pending upload (KIP-1023).
func (b *Broker) listOffsets(ctx context.Context, req *kmsg.ListOffsetsRequest, resp *kmsg.ListOffsetsResponse) error {
	ctx, cancel := context.WithTimeout(ctx, parkTime) // for all partitions together
	defer cancel()
	type place struct {
		topic     string
		partition int32
	}
	asked := make(map[place]int)
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			asked[place{t.Topic, p.Partition}]++
		}
	}
	for _, t := range req.Topics {
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewListOffsetsResponseTopicPartition()
			answer.Partition = p.Partition
			err := error(kerr.InvalidRequest)
			if asked[place{t.Topic, p.Partition}] == 1 {
				err = b.listOffset(ctx, req, t.Topic, p, &answer)
			}
			answer.ErrorCode = protocol.Code(err)
			topic.Partitions = append(topic.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return nil
}

// listOffset answers for one partition.
func (b *Broker) listOffset(ctx context.Context, req *kmsg.ListOffsetsRequest, topic string, asked kmsg.ListOffsetsRequestTopicPartition, answer *kmsg.ListOffsetsResponseTopicPartition) error {
	p, err := b.partitionByName(topic, asked.Partition)
	if err != nil {
		return err
	}
	park(ctx, p, parkTime)
	if err := b.listing(p, asked.CurrentLeaderEpoch, req.Version); err != nil {
		return err
	}
	if asked.Timestamp < 0 {
		since, special := specialSince[asked.Timestamp]
		if !special || req.Version < since {
			return fmt.Errorf("timestamp %d in version %d: %w", asked.Timestamp, req.Version, kerr.UnsupportedVersion)
		}
	}
	end := p.HighWatermark()
	if req.IsolationLevel == readCommitted && !planted.Is(planted.IsolationUnread) {
		end = p.LastStableOffset()
	}
	found, err := offsetAt(p, asked.Timestamp, end)
	answer.Offset, answer.Timestamp, answer.LeaderEpoch = found.offset, found.timestamp, found.epoch
	return err
}

// listing is leading, but where nobody leads yet the client is not sent
// elsewhere (hard-31, KIP-207).
func (b *Broker) listing(p *replication.Partition, epoch int32, version int16) error {
	l := p.Leadership()
	err := b.leading(p, epoch)
	switch {
	case err == nil || l.Leader >= 0:
		return err
	case version >= 5:
		return kerr.OffsetNotAvailable
	}
	return kerr.LeaderNotAvailable
}

// A foundOffset is a place in a log; -1 stands for what there is none of.
type foundOffset struct {
	offset, timestamp int64
	epoch             int32
}

// offsetAt finds the place that a timestamp, special or not, stands for below end.
func offsetAt(p *replication.Partition, timestamp, end int64) (foundOffset, error) {
	none, log := foundOffset{-1, -1, -1}, p.Log()
	var found foundOffset
	var ok bool
	var err error
	switch timestamp {
	case latest:
		return foundOffset{end, -1, log.LatestEpoch()}, nil
	case earliest, earliestLocal:
		start := p.StartOffset()
		return foundOffset{start, -1, log.EpochFor(start)}, nil
	case latestTiered, earliestPending:
		return none, nil
	case maxTimestamp:
		found.offset, found.timestamp, found.epoch, ok, err = log.MaxTimestamp(end)
	default:
		found.offset, found.timestamp, found.epoch, ok, err = log.OffsetForTime(timestamp, end)
	}
	if err != nil || !ok {
		return none, err
	}
	return found, nil
}
