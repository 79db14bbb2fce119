package group

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/shard"
)

// A commit is the part of an OffsetCommit or TxnOffsetCommit that can be stored:
// what it wants to write, and where the answer to each of it goes.
type commit struct {
	partitions []partition
	offsets    []committed
	codes      []*int16 // into the response
}

// add judges one partition; what is refused is answered at once.
//
// Errors into code: OffsetMetadataTooLarge, InvalidRequest for a negative offset
// (Kafka stores it), UnknownTopicOrPartition.
func (b *commit) add(config *Config, topic string, id [16]byte, count, index int32, o committed, metadata *string, code *int16) {
	if metadata != nil {
		o.metadata = *metadata
	}
	switch {
	case index < 0 || index >= count:
		*code = kerr.UnknownTopicOrPartition.Code
	case o.offset < 0:
		*code = kerr.InvalidRequest.Code
	case tooLong(o.metadata, config.OffsetMetadataMaxSize):
		*code = kerr.OffsetMetadataTooLarge.Code
	default:
		o.topicID = id
		b.partitions = append(b.partitions, partition{topic, index})
		b.offsets = append(b.offsets, o)
		b.codes = append(b.codes, code)
	}
}

// tooLong compares as Kafka does, in UTF-16 code units. No string of the stored
// form may be longer than an int16 says.
func tooLong(s string, limit int) bool {
	return len(s) > math.MaxInt16 || len(s) > limit && len(utf16.Encode([]rune(s))) > limit
}

// refuse answers every partition with an error.
func (b *commit) refuse(err *kerr.Error) {
	for _, code := range b.codes {
		*code = err.Code
	}
}

// records of the commit at a moment, by the coordinator's clock.
func (b *commit) records(group string, now time.Time) []record.Record {
	records := make([]record.Record, len(b.offsets))
	for i, o := range b.offsets {
		o.commitMs = now.UnixMilli()
		records[i] = offsetRecord(group, b.partitions[i], o, now)
	}
	return records
}

// OffsetCommit stores offsets: of a member in its generation, or, with
// generation -1, of a standalone consumer in a group that nobody is in. It
// counts as a heartbeat. It is answered once the offsets are committed.
//
// Errors, per partition: UnknownTopicID, UnknownTopicOrPartition,
// OffsetMetadataTooLarge, InvalidRequest, InvalidCommitOffsetSize,
// IllegalGeneration, UnknownMemberID, FencedInstanceID, RebalanceInProgress,
// GroupIDNotFound (v9+) and those of the shard.
func (c *Coordinator) OffsetCommit(ctx context.Context, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) error {
	b := c.readCommit(req, resp)
	if len(b.offsets) == 0 {
		return nil
	}
	err := c.update(ctx, req.Group, func(v *view, now time.Time) (shard.Write, error) {
		g := v.groups[req.Group]
		if g == nil {
			return shard.Write{Records: b.records(req.Group, now)}, unknownGroup(req)
		}
		if err := g.checkCommit(req.MemberID, req.InstanceID, req.Generation, false); err != nil {
			return shard.Write{}, err
		}
		if m := g.members[req.MemberID]; m != nil && (g.state == Stable || g.state == PreparingRebalance) {
			turn{g, &c.config, now}.touch(m)
		}
		return shard.Write{Records: b.records(req.Group, now)}, nil
	})
	if err != nil {
		b.refuse(c.commitError(err))
	}
	return nil
}

// unknownGroup says whether a commit may make its group: a standalone one may.
func unknownGroup(req *kmsg.OffsetCommitRequest) error {
	switch {
	case req.Generation < 0:
		return nil
	case req.Version >= 9:
		return kerr.GroupIDNotFound
	default:
		return kerr.IllegalGeneration
	}
}

// readCommit judges the topics and partitions of a request and lays out resp.
func (c *Coordinator) readCommit(req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) *commit {
	expireMs := int64(-1)
	if req.RetentionTimeMillis >= 0 && req.Version <= 4 {
		expireMs = time.Now().UnixMilli() + req.RetentionTimeMillis
	}
	b := &commit{}
	resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(req.Topics))
	for i, asked := range req.Topics {
		topic := &resp.Topics[i]
		topic.Default()
		topic.Topic, topic.TopicID = asked.Topic, asked.TopicID
		name, id, count, unknown := c.topic(asked.Topic, asked.TopicID, req.Version >= 10)
		topic.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(asked.Partitions))
		for j, p := range asked.Partitions {
			answer := &topic.Partitions[j]
			answer.Default()
			answer.Partition = p.Partition
			if unknown != nil {
				answer.ErrorCode = unknown.Code
				continue
			}
			o := committed{offset: p.Offset, leaderEpoch: p.LeaderEpoch, expireMs: expireMs}
			b.add(&c.config, name, id, count, p.Partition, o, p.Metadata, &answer.ErrorCode)
		}
	}
	return b
}

// topic finds a topic by its id or its name.
//
// Errors: UnknownTopicID, UnknownTopicOrPartition.
func (c *Coordinator) topic(name string, id [16]byte, byID bool) (string, [16]byte, int32, *kerr.Error) {
	if byID {
		name, count, ok := c.config.Topics.ByID(id)
		if !ok {
			return "", id, 0, kerr.UnknownTopicID
		}
		return name, id, count, nil
	}
	id, count, ok := c.config.Topics.ByName(name)
	if !ok {
		return name, id, 0, kerr.UnknownTopicOrPartition
	}
	return name, id, count, nil
}

// update appends what decide returns for a group. It waits no longer than
// OffsetCommitTimeout for others that write to the same group.
func (c *Coordinator) update(ctx context.Context, group string, decide func(v *view, now time.Time) (shard.Write, error)) error {
	s, err := c.of(group)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.OffsetCommitTimeout)
	defer cancel()
	_, err = s.shard.Update(ctx, group, func(v *view, _ int32) (shard.Write, error) { return decide(v, time.Now()) })
	return err
}

// TxnOffsetCommit stores offsets inside a producer's transaction: nobody sees
// them before its marker. From version 3 on it may carry the member and
// generation, which fences a zombie (KIP-447).
//
// Errors, per partition: UnknownTopicOrPartition, OffsetMetadataTooLarge,
// InvalidRequest, InvalidGroupID, IllegalGeneration, UnknownMemberID,
// FencedInstanceID, whatever Config.Verify answers, InvalidProducerEpoch and
// those of the shard.
func (c *Coordinator) TxnOffsetCommit(ctx context.Context, req *kmsg.TxnOffsetCommitRequest, resp *kmsg.TxnOffsetCommitResponse) error {
	b := c.readTxnCommit(req, resp)
	if len(b.offsets) == 0 {
		return nil
	}
	if err := c.txnCommit(ctx, req, b); err != nil {
		refused := c.commitError(err)
		if req.Version < 2 && refused == kerr.CoordinatorLoadInProgress {
			refused = kerr.CoordinatorNotAvailable // old clients know no other
		}
		b.refuse(refused)
	}
	return nil
}

func (c *Coordinator) txnCommit(ctx context.Context, req *kmsg.TxnOffsetCommitRequest, b *commit) error {
	if req.Group == "" {
		return kerr.InvalidGroupID
	}
	if c.config.Verify == nil {
		return kerr.CoordinatorNotAvailable
	}
	s, err := c.of(req.Group)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := c.verifiedCommit(ctx, req, b, s)
		switch {
		case !errors.Is(err, replication.ErrGuardGone):
			return err
		case req.Version == 4:
			return fmt.Errorf("the transaction ended meanwhile: %w", kerr.TransactionAbortable)
		case req.Version < 4 || attempt == reverify:
			return err
		}
	}
}

// reverify is how often a commit is verified when a marker comes between the
// transaction coordinator's answer and the append (hard-07).
const reverify = 3

// verifiedCommit asks the transaction coordinator once and appends.
func (c *Coordinator) verifiedCommit(ctx context.Context, req *kmsg.TxnOffsetCommitRequest, b *commit, s *served) error {
	if err := s.shard.Answer(ctx, func(*view) {}); err != nil { // only a leader gives a guard
		return err
	}
	guard, err := c.config.Verify(ctx, req, s.index, s.shard.Guard)
	if err != nil {
		return err
	}
	return c.update(ctx, req.Group, func(v *view, now time.Time) (shard.Write, error) {
		g := v.groups[req.Group]
		switch {
		case g == nil && req.Generation >= 0:
			return shard.Write{}, kerr.IllegalGeneration
		case g != nil:
			if err := g.checkCommit(req.MemberID, req.InstanceID, req.Generation, true); err != nil {
				return shard.Write{}, err
			}
		}
		return shard.Write{
			Records:       b.records(req.Group, now),
			Transactional: true,
			ProducerID:    req.ProducerID,
			ProducerEpoch: req.ProducerEpoch,
			TV2:           req.Version >= 5,
			Guard:         guard,
		}, nil
	})
}

func (c *Coordinator) readTxnCommit(req *kmsg.TxnOffsetCommitRequest, resp *kmsg.TxnOffsetCommitResponse) *commit {
	b := &commit{}
	resp.Topics = make([]kmsg.TxnOffsetCommitResponseTopic, len(req.Topics))
	for i, asked := range req.Topics {
		topic := &resp.Topics[i]
		topic.Default()
		topic.Topic = asked.Topic
		name, id, count, unknown := c.topic(asked.Topic, [16]byte{}, false)
		topic.Partitions = make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(asked.Partitions))
		for j, p := range asked.Partitions {
			answer := &topic.Partitions[j]
			answer.Default()
			answer.Partition = p.Partition
			if unknown != nil {
				answer.ErrorCode = unknown.Code
				continue
			}
			o := committed{offset: p.Offset, leaderEpoch: p.LeaderEpoch, expireMs: -1}
			b.add(&c.config, name, id, count, p.Partition, o, p.Metadata, &answer.ErrorCode)
		}
	}
	return b
}
