package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
)

// leading says whether this node may answer for the partition as its leader. One
// that is stranded tells what it knows, as Kafka's would (hard-26).
// currentEpoch is the leader epoch that the client believes in, -1 for none.
//
// Errors: NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH
// (KIP-320). Source: Partition.checkCurrentLeaderEpoch.
func (b *Broker) leading(p *replication.Partition, currentEpoch int32) error {
	l := p.Leadership()
	switch {
	case l.Leader != b.nodeID() || !l.Ready && !l.Stranded:
		return fmt.Errorf("node %d leads, not node %d: %w", l.Leader, b.nodeID(), kerr.NotLeaderForPartition)
	case currentEpoch >= 0 && currentEpoch < l.Epoch:
		return fmt.Errorf("leader epoch %d, the current one is %d: %w", currentEpoch, l.Epoch, kerr.FencedLeaderEpoch)
	case currentEpoch > l.Epoch:
		return fmt.Errorf("leader epoch %d, this leader knows only %d: %w", currentEpoch, l.Epoch, kerr.UnknownLeaderEpoch)
	}
	return nil
}

// parkTime bounds how long a request waits for a partition whose leader is not
// known: it may be elected already, and commit the first entry of its term.
const parkTime = 500 * time.Millisecond

// park waits while nobody is known to lead the partition, parkTime at most
// (hard-31). What comes then is for the caller to find out.
func park(ctx context.Context, p *replication.Partition, timeout time.Duration) {
	if p.Leadership().Leader >= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(timeout, parkTime))
	defer cancel()
	_ = p.WaitReady(ctx) // its error says that it does not lead, which the caller sees
}

// partitionByName finds a partition that requests name by its topic's name.
//
// Errors: UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR.
func (b *Broker) partitionByName(name string, partition int32) (*replication.Partition, error) {
	_, p, err := b.topics.load().resolve(name, cluster.UUID{}, false, partition)
	return p, err
}

// unknownTopic is the refusal of a topic that does not exist, in Kafka's words.
func unknownTopic(string) error {
	return refuse(kerr.UnknownTopicOrPartition, "This server does not host this topic-partition.")
}

// awaitTopic waits until a topic's partitions serve, as long as ctx lasts.
//
// Errors: REQUEST_TIMED_OUT, though the topic exists.
func (b *Broker) awaitTopic(ctx context.Context, id cluster.UUID, partitions int) error {
	err := b.awaitServed(ctx, id, partitions)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the topic is made and not served yet: %w", kerr.RequestTimedOut)
	}
	return err
}
