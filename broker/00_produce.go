package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/planted"
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
	err       error
	done      replication.Appended
	leader    currentLeader // where err names it
}

// A produceReply is a Produce with what became of each partition, in the order
// of the request.
type produceReply struct {
	b    *Broker
	req  *kmsg.ProduceRequest
	conn *protocol.Conn
	all  []producing
}

// produceReplies holds those that were encoded, for the room of their lists.
var produceReplies = sync.Pool{New: func() any { return new(produceReply) }}

// newProduceReply makes room for each partition's answer.
func (b *Broker) newProduceReply(req *kmsg.ProduceRequest) *produceReply {
	r := produceReplies.Get().(*produceReply)
	r.b, r.req = b, req
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			r.all = append(r.all, producing{name: t.Topic, id: t.TopicID, number: t.Partitions[j].Partition, batch: t.Partitions[j].Records})
		}
	}
	return r
}

// release gives the reply back once nobody uses it any more.
func (r *produceReply) release() {
	clear(r.all)
	r.b, r.req, r.conn, r.all = nil, nil, nil, r.all[:0]
	produceReplies.Put(r)
}

// emptyProduce lets a request be used again.
func emptyProduce(r *kmsg.ProduceRequest) {
	clear(r.Topics)
	*r = kmsg.ProduceRequest{Topics: r.Topics[:0]}
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
	r := b.newProduceReply(req)
	set := b.topics.load()
	for i := range r.all {
		b.checkProduce(ctx, set, req, &r.all[i])
	}
	b.verifyProduce(ctx, req, r.all)
	b.append(ctx, req, r.all)
	if req.Acks != 0 {
		r.conn = protocol.RequestFrom(ctx).Conn
		r.findLeaders(ctx)
		return r, nil
	}
	defer r.release()
	failed := false
	for i := range r.all {
		if err := r.all[i].err; err != nil {
			b.logUnexpected("produce failed", err)
			failed = true
		}
	}
	if failed {
		return nil, fmt.Errorf("produce with acks=0 failed: %w", protocol.ErrClose)
	}
	return nil, nil
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
	var deadline time.Time
	if req.Acks == -1 {
		deadline = time.Now().Add(time.Duration(max(req.TimeoutMillis, 0)) * time.Millisecond)
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
			b.appendBeside(ctx, others, req, deadline, &all[last])
		}
		last = i
	}
	if last >= 0 {
		b.appendOne(ctx, req, deadline, &all[last])
	}
}

// appendBeside is appendOne in a goroutine of its own. Apart from append, so
// that a request for one partition allocates nothing for it.
func (b *Broker) appendBeside(ctx context.Context, others *crew, req *kmsg.ProduceRequest, deadline time.Time, p *producing) {
	others.run(func() { b.appendOne(ctx, req, deadline, p) })
}

// reverify is how often a batch whose transaction ended between the coordinator's
// answer and the append asks again (hard-07).
const reverify = 3

// appendOne stores one batch. A deadline that is not zero ends the wait.
func (b *Broker) appendOne(ctx context.Context, req *kmsg.ProduceRequest, deadline time.Time, p *producing) {
	park(ctx, p.partition, time.Duration(req.TimeoutMillis)*time.Millisecond)
	transactional, acks := p.batch.IsTransactional(), req.Acks
	if planted.Is(planted.AckBeforeCommit) {
		acks = 1
	}
	for attempt := 1; ; attempt++ {
		p.done, p.err = p.partition.Append(ctx, replication.Append{
			Batch: p.batch, Acks: acks, Guard: p.guard, TV2: transactional && req.Version >= 12, MinInSync: p.topic.minInSync(p.number),
			Deadline: deadline,
		})
		if !errors.Is(p.err, replication.ErrGuardGone) || req.Version < 12 || attempt == reverify {
			break
		}
		if p.err = b.verifyAgain(ctx, req, deadline, p); p.err != nil {
			return
		}
	}
	switch {
	case p.err == nil:
		p.topic.counters.produced(p.batch)
	case errors.Is(p.err, replication.ErrGuardGone) && req.Version == 11:
		p.err = fmt.Errorf("the transaction ended meanwhile: %w", kerr.TransactionAbortable)
	}
}

// verifyAgain asks once more for a batch whose guard is gone, under a new one.
func (b *Broker) verifyAgain(ctx context.Context, req *kmsg.ProduceRequest, deadline time.Time, p *producing) error {
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	again := []txnBatch{p.txnBatch(req)}
	err := b.verifyTxns(ctx, again)[0]
	p.guard = again[0].guard
	return err
}

// txnBatch is the batch as verifyTxns asks about it.
func (p *producing) txnBatch(req *kmsg.ProduceRequest) txnBatch {
	return txnBatch{
		transactionalID: *req.TransactionID, producerID: p.batch.ProducerID(), producerEpoch: p.batch.ProducerEpoch(), firstSequence: p.batch.BaseSequence(),
		topic: p.topic, partition: p.number, version: req.Version,
	}
}

// findLeaders finds who leads the partitions that this node was asked in vain for.
func (r *produceReply) findLeaders(ctx context.Context) {
	var away []*topic
	for i := range r.all {
		p := &r.all[i]
		switch {
		case r.req.Version < endpointsProduce || !leaderHint(p.err):
		case p.partition != nil:
			p.leader = leaderHere(p.partition.Leadership())
		case !slices.Contains(away, p.topic):
			away = append(away, p.topic)
		}
	}
	if len(away) == 0 {
		return
	}
	leader := r.b.leadersAway(ctx, away)
	for i := range r.all {
		if p := &r.all[i]; leaderHint(p.err) && p.partition == nil {
			p.leader = leader(p.topic, p.number)
		}
	}
}

// AppendTo encodes the answer, at the version of the request.
func (r *produceReply) AppendTo(dst []byte) ([]byte, error) {
	defer r.release()
	version := r.req.Version
	e := encoder{b: dst, flexible: version >= 9}
	e.count(len(r.req.Topics))
	all := r.all
	for i := range r.req.Topics {
		t := &r.req.Topics[i]
		if version >= 13 {
			e.b = append(e.b, t.TopicID[:]...)
		} else {
			e.string(t.Topic)
		}
		e.count(len(t.Partitions))
		for range t.Partitions {
			r.encode(&e, &all[0])
			all = all[1:]
		}
		e.tags()
	}
	e.int32(0) // throttle time
	r.b.endpoints(&e, r.conn)
	return e.b, nil
}

// encode appends the answer of one partition.
func (r *produceReply) encode(e *encoder, p *producing) {
	version := r.req.Version
	done := p.done
	if p.err != nil {
		r.b.logUnexpected("produce failed", p.err)
		done = replication.Appended{BaseOffset: -1, LogAppendTime: -1, LogStartOffset: -1}
	}
	code := protocol.Code(p.err)
	if planted.Is(planted.FencedProduce) && code == kerr.InvalidProducerEpoch.Code {
		code = kerr.ProducerFenced.Code
	}
	e.int32(p.number)
	e.int16(code)
	e.int64(done.BaseOffset)
	e.int64(done.LogAppendTime)
	if version >= 5 {
		e.int64(done.LogStartOffset)
	}
	if version >= 8 {
		e.rejected(p.err)
		e.nullable(protocol.Message(p.err))
	}
	if version >= endpointsProduce && leaderHint(p.err) {
		e.leader(0, p.leader)
		return
	}
	e.tags()
}

// rejected names the records for which a batch was refused (KIP-467).
func (e *encoder) rejected(err error) {
	var invalid *record.Invalid
	if err == nil || !errors.As(err, &invalid) || invalid.Record < 0 {
		e.count(0)
		return
	}
	e.count(1 + len(invalid.More))
	e.rejectedRecord(invalid.Record, invalid.Reason)
	for _, more := range invalid.More {
		e.rejectedRecord(more.Record, more.Reason)
	}
}

func (e *encoder) rejectedRecord(number int32, reason string) {
	e.int32(number)
	e.string(reason)
	e.tags()
}
