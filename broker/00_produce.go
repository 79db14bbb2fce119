package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication"
	"github.com/oncelog/oncelog/replication/cluster"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// adminClientID may write to internal topics. Source: AdminUtils of Kafka.
const adminClientID = "__admin_client"

// A producing is one partition's part of a Produce request.
type producing struct {
	name      string
	id        cluster.UUID // v13+
	topic     *topic
	partition *replication.Partition
	number    int32
	batch     record.Batch
	guard     *replication.Guard
	response  *kmsg.ProduceResponseTopicPartition
	err       error
	done      replication.Appended
}

// produce: v3-13
//
//   - Exactly one batch of magic 2 for each partition; it is stored as sent.
//   - acks=1 is answered once the leader has stored it, acks=all once it is committed.
//   - acks=0 is not answered; an error closes the connection.
//
// Versions: v3 transactional id; v7 zstd; v8 record errors (KIP-467); v9 flexible; v10 current leader (KIP-951); v11 TRANSACTION_ABORTABLE, v12 implicit adds (KIP-890); v13 topic ids (KIP-516).
func (b *Broker) produce(ctx context.Context, req *kmsg.ProduceRequest) (protocol.Reply, error) {
	if req.Version < 3 {
		return nil, fmt.Errorf("version %d of Produce: message sets were dropped: %w", req.Version, protocol.ErrClose) // advertised for librdkafka (KAFKA-18659)
	}
	resp, all := newProduceResponse(req)
	set := b.topics.load()
	for i := range all {
		b.checkProduce(ctx, set, req, &all[i])
	}
	b.verifyProduce(ctx, req, all)
	b.append(ctx, req, all)
	failed := false
	for i := range all {
		b.answerProduce(req.Version, resp, &all[i])
		failed = failed || all[i].err != nil
	}
	if req.Acks != 0 {
		return message{resp}, nil
	}
	if failed {
		return nil, fmt.Errorf("produce with acks=0 failed: %w", protocol.ErrClose)
	}
	return nil, nil
}

// message is a response that kmsg encodes.
type message struct{ kmsg.Response }

func (m message) AppendTo(dst []byte) ([]byte, error) { return m.Response.AppendTo(dst), nil }

// newProduceResponse makes room for each partition's answer.
func newProduceResponse(req *kmsg.ProduceRequest) (*kmsg.ProduceResponse, []producing) {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = req.Version
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(req.Topics))
	count := 0
	for i := range req.Topics {
		count += len(req.Topics[i].Partitions)
	}
	all := make([]producing, 0, count)
	for i := range req.Topics {
		in, out := &req.Topics[i], &resp.Topics[i]
		out.Topic, out.TopicID = in.Topic, in.TopicID
		out.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(in.Partitions))
		for j := range in.Partitions {
			answer := &out.Partitions[j]
			*answer = kmsg.NewProduceResponseTopicPartition()
			answer.Partition, answer.BaseOffset, answer.LogAppendTime, answer.LogStartOffset = in.Partitions[j].Partition, -1, -1, -1
			all = append(all, producing{name: in.Topic, id: in.TopicID, number: in.Partitions[j].Partition, batch: in.Partitions[j].Records, response: answer})
		}
	}
	return resp, all
}

// checkProduce resolves the partition and validates the batch.
func (b *Broker) checkProduce(ctx context.Context, set *topicSet, req *kmsg.ProduceRequest, p *producing) {
	if req.Acks < -1 || req.Acks > 1 {
		p.err = kerr.InvalidRequiredAcks
		return
	}
	if p.topic, p.partition, p.err = set.resolve(p.name, p.id, req.Version >= 13, p.number); p.err != nil {
		return
	}
	if p.topic.Internal && protocol.RequestFrom(ctx).ClientName() != adminClientID {
		p.err = fmt.Errorf("%s is written by its coordinator: %w", p.topic.Name, kerr.InvalidTopicException)
		return
	}
	s := &p.topic.settings
	now := time.Now().UnixMilli()
	limits := record.Limits{
		MaxBytes: int(s.maxMessageBytes), Now: now, TimestampBefore: timeLimit(s.timestampBeforeMax), TimestampAfter: timeLimit(s.timestampAfterMax),
		LogAppendTime: s.timestampType == "LogAppendTime", Compacted: s.compacted(), NoZstd: req.Version < 7, Budget: b.decompressing,
	}
	batch, info, err := record.Validate(p.batch, limits)
	if err != nil {
		p.err = err
		return
	}
	target := record.Target{Codec: s.codec(), Level: s.level(), MaxBytes: int(s.maxMessageBytes), Budget: b.decompressing}
	if limits.LogAppendTime {
		target.LogAppendTime = now
	}
	p.batch, p.err = record.Rewrite(batch, info, target)
}

// timeLimit turns a setting into Limits' form: 0 there is no limit.
func timeLimit(d time.Duration) time.Duration {
	if d >= 1<<62 {
		return 0
	}
	return max(d, 1) // 1 ns: not at all
}

// codec is compression.type as a codec.
func (s *topicSettings) codec() int8 {
	switch s.compressionType {
	case "uncompressed":
		return record.CodecNone
	case "gzip":
		return record.CodecGzip
	case "snappy":
		return record.CodecSnappy
	case "lz4":
		return record.CodecLZ4
	case "zstd":
		return record.CodecZstd
	}
	return record.KeepCodec
}

// level is that of the codec's compression.*.level.
func (s *topicSettings) level() int {
	switch s.compressionType {
	case "gzip":
		return int(max(s.gzipLevel, record.DefaultLevel)) // -1 is the default too
	case "lz4":
		return int(s.lz4Level)
	case "zstd":
		return int(s.zstdLevel)
	}
	return record.DefaultLevel
}

// verifyProduce asks the transaction coordinator about transactional batches
// (KIP-890). Without a transactional id nothing of the request is taken.
func (b *Broker) verifyProduce(ctx context.Context, req *kmsg.ProduceRequest, all []producing) {
	var batches []txnBatch
	var which []int
	for i := range all {
		p := &all[i]
		if p.err != nil || !p.batch.IsTransactional() {
			continue
		}
		if req.TransactionID == nil {
			for j := range all {
				all[j].err = kerr.TransactionalIDAuthorizationFailed
			}
			return
		}
		which = append(which, i)
		batches = append(batches, p.txnBatch(req))
	}
	if len(batches) == 0 {
		return
	}
	for i, err := range b.verifyTxns(ctx, batches) {
		all[which[i]].err = err
		all[which[i]].guard = batches[i].guard
	}
}

// append stores the batches and waits as the acks demand, all partitions at a
// time: with one partition, in the connection's own goroutine.
func (b *Broker) append(ctx context.Context, req *kmsg.ProduceRequest, all []producing) {
	if req.Acks == -1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(max(req.TimeoutMillis, 0))*time.Millisecond)
		defer cancel()
	}
	var others *crew
	last := -1
	for i := range all {
		if all[i].err != nil {
			continue
		}
		if last >= 0 {
			if others == nil {
				others = new(crew)
				defer others.wait()
			}
			b.appendBeside(ctx, others, req, &all[last])
		}
		last = i
	}
	if last >= 0 {
		b.appendOne(ctx, req, &all[last])
	}
}

// appendBeside is appendOne in a goroutine of its own. Apart from append, so
// that a request for one partition allocates nothing for it.
func (b *Broker) appendBeside(ctx context.Context, others *crew, req *kmsg.ProduceRequest, p *producing) {
	others.run(func() { b.appendOne(ctx, req, p) })
}

// reverify is how often a batch whose transaction ended between the coordinator's
// answer and the append asks again (hard-07).
const reverify = 3

func (b *Broker) appendOne(ctx context.Context, req *kmsg.ProduceRequest, p *producing) {
	park(ctx, p.partition, time.Duration(req.TimeoutMillis)*time.Millisecond)
	transactional := p.batch.IsTransactional()
	for attempt := 1; ; attempt++ {
		p.done, p.err = p.partition.Append(ctx, replication.Append{
			Batch: p.batch, Acks: req.Acks, Guard: p.guard, TV2: transactional && req.Version >= 12, MinInSync: p.topic.minInSync(p.number),
		})
		if !errors.Is(p.err, replication.ErrGuardGone) || req.Version < 12 || attempt == reverify {
			break
		}
		again := []txnBatch{p.txnBatch(req)}
		if p.err = b.verifyTxns(ctx, again)[0]; p.err != nil {
			return
		}
		p.guard = again[0].guard
	}
	switch {
	case p.err == nil:
		p.topic.counters.produced(p.batch)
	case errors.Is(p.err, replication.ErrGuardGone) && req.Version == 11:
		p.err = fmt.Errorf("the transaction ended meanwhile: %w", kerr.TransactionAbortable)
	}
}

// txnBatch is the batch as verifyTxns asks about it.
func (p *producing) txnBatch(req *kmsg.ProduceRequest) txnBatch {
	return txnBatch{
		transactionalID: *req.TransactionID, producerID: p.batch.ProducerID(), producerEpoch: p.batch.ProducerEpoch(), firstSequence: p.batch.BaseSequence(),
		topic: p.topic, partition: p.number, version: req.Version,
	}
}

// answerProduce fills in the answer of one partition.
func (b *Broker) answerProduce(version int16, resp *kmsg.ProduceResponse, p *producing) {
	r := p.response
	if p.err == nil {
		r.BaseOffset, r.LogAppendTime, r.LogStartOffset = p.done.BaseOffset, p.done.LogAppendTime, p.done.LogStartOffset
		return
	}
	b.logUnexpected("produce failed", p.err)
	r.ErrorCode, r.ErrorMessage = protocol.Code(p.err), protocol.Message(p.err)
	var invalid *record.Invalid
	if errors.As(p.err, &invalid) && invalid.Record >= 0 {
		r.ErrorRecords = rejected(invalid)
	}
	if version < 10 || r.ErrorCode != kerr.NotLeaderForPartition.Code || p.partition == nil {
		return
	}
	if l := p.partition.Leadership(); l.Leader >= 0 {
		r.CurrentLeader.LeaderID, r.CurrentLeader.LeaderEpoch = l.Leader, l.Epoch
	}
}

// rejected names the records for which a batch was refused (KIP-467).
func rejected(invalid *record.Invalid) []kmsg.ProduceResponseTopicPartitionErrorRecord {
	named := make([]kmsg.ProduceResponseTopicPartitionErrorRecord, 1+len(invalid.More))
	named[0].RelativeOffset, named[0].ErrorMessage = invalid.Record, &invalid.Reason
	for i := range invalid.More {
		named[i+1].RelativeOffset, named[i+1].ErrorMessage = invalid.More[i].Record, &invalid.More[i].Reason
	}
	return named
}
