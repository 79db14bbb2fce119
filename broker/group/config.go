package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/replication/shard"
)

// Config of a Coordinator. Zero values are the documented defaults.
type Config struct {
	// Partitions is the number of partitions of __consumer_offsets
	// (offsets.topic.num.partitions). 0: 50.
	Partitions int32
	// Topics looks topics up. Required.
	Topics Topics
	// Verify asks the transaction coordinator, for TxnOffsetCommit. Required if
	// that is served.
	Verify VerifyFunc

	SessionTimeoutMin     time.Duration // 0: 6 s (group.min.session.timeout.ms)
	SessionTimeoutMax     time.Duration // 0: 30 min (group.max.session.timeout.ms)
	InitialRebalanceDelay time.Duration // 0: 3 s; negative: none (group.initial.rebalance.delay.ms)
	MaxSize               int           // members of a group; 0: no bound but that of MaxMetadataSize (group.max.size)
	MaxMetadataSize       int           // bytes of protocol metadata held for a group; 0: 64 MiB
	NewMemberJoinTimeout  time.Duration // a new member waits this long in its first JoinGroup; 0: 5 min, as Kafka

	OffsetMetadataMaxSize         int           // bytes; 0: 4096 (offset.metadata.max.bytes)
	OffsetsRetention              time.Duration // 0: 7 days (offsets.retention.minutes)
	OffsetsRetentionCheckInterval time.Duration // 0: 10 min (offsets.retention.check.interval.ms)
	OffsetCommitTimeout           time.Duration // waiting for a busy group; 0: 5 s (offsets.commit.timeout.ms)

	Logger *slog.Logger // nil: discard
}

// Topics is the coordinator's view of the metadata image.
type Topics interface {
	// ByName returns the id and the number of partitions of a topic.
	ByName(name string) (id [16]byte, partitions int32, ok bool)
	// ByID returns the name and the number of partitions of a topic.
	ByID(id [16]byte) (name string, partitions int32, ok bool)
	// Deleted says that a topic id is known to be dead.
	Deleted(id [16]byte) bool
}

// A VerifyFunc makes sure that a partition of __consumer_offsets belongs to the
// open transaction of a TxnOffsetCommit: versions below 5 verify, version 5 adds
// it (KIP-890). guard starts a verification guard on the partition; the function
// calls it before it asks the transaction coordinator and returns what it got (hard-07).
//
// Its error is a wire error of the answer, already fit for the request's version (hard-06).
type VerifyFunc func(ctx context.Context, req *kmsg.TxnOffsetCommitRequest, partition int32, guard func(producerID int64) shard.Guard) (shard.Guard, error)

// ClientInfo is what a group remembers of the client that a member is.
type ClientInfo struct {
	ID   string // client.id
	Host string // as Kafka prints it, with a leading slash: /127.0.0.1
}

// withDefaults fills in what is zero and checks the rest.
func (c Config) withDefaults() (Config, error) {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.SessionTimeoutMin, 6*time.Second)
	def(&c.SessionTimeoutMax, 30*time.Minute)
	def(&c.InitialRebalanceDelay, 3*time.Second)
	def(&c.NewMemberJoinTimeout, 5*time.Minute)
	def(&c.OffsetsRetention, 7*24*time.Hour)
	def(&c.OffsetsRetentionCheckInterval, 10*time.Minute)
	def(&c.OffsetCommitTimeout, 5*time.Second)
	c.InitialRebalanceDelay = max(c.InitialRebalanceDelay, 0)
	if c.Partitions == 0 {
		c.Partitions = 50
	}
	if c.MaxSize == 0 {
		c.MaxSize = math.MaxInt32
	}
	if c.MaxMetadataSize == 0 {
		c.MaxMetadataSize = 64 << 20
	}
	if c.OffsetMetadataMaxSize == 0 {
		c.OffsetMetadataMaxSize = 4096
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Topics == nil:
		return c, errors.New("group: Config.Topics is missing")
	case c.Partitions < 0:
		return c, fmt.Errorf("group: %d partitions of __consumer_offsets", c.Partitions)
	case c.SessionTimeoutMin > c.SessionTimeoutMax:
		return c, fmt.Errorf("group: session timeout minimum %v above maximum %v", c.SessionTimeoutMin, c.SessionTimeoutMax)
	}
	return c, nil
}
