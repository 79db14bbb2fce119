package broker

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
)

// Types of elections. Source: org.apache.kafka.common.ElectionType.
const (
	electPreferred int8 = 0
	electUnclean   int8 = 1
)

// ElectLeaders: v0-2
//
//   - A preferred election has the first replica lead; it must be in sync.
//   - An unclean election gives up a majority that is gone (see unclean.go).
//   - Null topics are all; then partitions that need no election are left out.
//   - Answers when the preferred replicas serve, or nearly.
//
// Versions: v1 type of the election, top-level error (KIP-460). Source:
// ReplicationControlManager.electLeaders.
func (b *Broker) electLeaders(ctx context.Context, req *kmsg.ElectLeadersRequest, resp *kmsg.ElectLeadersResponse) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.TimeoutMillis)*time.Millisecond)
	defer cancel()
	kind := req.ElectionType
	if req.Version == 0 {
		kind = electPreferred
	}
	if kind != electPreferred && kind != electUnclean {
		return refuse(kerr.InvalidRequest, "Unknown election type %d", kind)
	}
	all, image := req.Topics == nil, b.image()
	topics := req.Topics
	if all {
		for _, t := range image.Topics() {
			one := kmsg.NewElectLeadersRequestTopic()
			one.Topic = t.Name
			for i := range t.Partitions {
				one.Partitions = append(one.Partitions, int32(i))
			}
			topics = append(topics, one)
		}
	}
	var known []placed
	for _, t := range topics {
		for _, i := range t.Partitions {
			if p, err := findPlaced(image, t.Topic, i); err == nil {
				known = append(known, p)
			}
		}
	}
	elected := b.elect(ctx, kind, known)
	for _, t := range topics {
		answer := kmsg.NewElectLeadersResponseTopic()
		answer.Topic = t.Topic
		for _, i := range t.Partitions {
			_, err := findPlaced(image, t.Topic, i)
			if err == nil {
				err, elected = elected[0], elected[1:]
			}
			if all && errors.Is(err, kerr.ElectionNotNeeded) {
				continue
			}
			one := kmsg.NewElectLeadersResponseTopicPartition()
			one.Partition, one.ErrorCode, one.ErrorMessage = i, protocol.Code(err), protocol.Message(err)
			answer.Partitions = append(answer.Partitions, one)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return nil
}

// findPlaced finds a partition of the metadata.
func findPlaced(image *cluster.Image, topic string, partition int32) (placed, error) {
	t, ok := image.Topic(topic)
	switch {
	case !ok:
		return placed{}, refuse(kerr.UnknownTopicOrPartition, "No such topic as %s", topic)
	case partition < 0 || int(partition) >= len(t.Partitions):
		return placed{}, refuse(kerr.UnknownTopicOrPartition, "No such partition as %s-%d", topic, partition)
	}
	return placed{t, partition}, nil
}

// elect holds elections and returns what came of each, in their order.
func (b *Broker) elect(ctx context.Context, kind int8, partitions []placed) []error {
	if kind == electPreferred {
		return b.electPreferred(ctx, partitions)
	}
	return b.electUnclean(ctx, partitions)
}
