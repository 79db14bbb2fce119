package broker

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/replication"
)

// hard-07: when the guard of a batch is gone by the time of its append, Produce
// 12 verifies again with a new one, and older versions are told so.
func TestHard07GuardGoneBeforeTheAppend(t *testing.T) {
	for _, c := range []struct {
		version int16
		want    int16
	}{{10, kerr.InvalidTxnState.Code}, {11, kerr.TransactionAbortable.Code}, {12, 0}, {13, 0}} {
		b, _ := open(t, nil)
		topic := withTopic(t, b, "t", 1)
		if err := b.ensureInternal(t.Context(), txnTopic); err != nil {
			t.Fatal(err)
		}
		init := kmsg.NewPtrInitProducerIDRequest()
		init.Version, init.TransactionalID, init.TransactionTimeoutMillis = 5, kmsg.StringPtr("shop"), 60000
		got := ask(t, b, init, kmsg.NewPtrInitProducerIDResponse())
		if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
			t.Fatal(err)
		}
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TimeoutMillis, req.TransactionID = c.version, -1, 5000, init.TransactionalID
		batch := batchOf(record.BuilderOptions{ProducerID: got.ProducerID, ProducerEpoch: got.ProducerEpoch, Transactional: true}, "a")
		p := producing{topic: topic, partition: topic.partitions[0], batch: batch}
		p.guard = p.partition.Guard(got.ProducerID + 1) // another's, as good as one that a marker destroyed
		b.appendOne(t.Context(), req, time.Time{}, &p)
		if code := protocol.Code(p.err); code != c.want {
			t.Errorf("v%d: %v, want code %d", c.version, p.err, c.want)
		}
		if stored := p.partition.EndOffset() == 1; stored != (c.want == 0) {
			t.Errorf("v%d: log end %d", c.version, p.partition.EndOffset())
		}
	}
}

// As Apache Kafka 4.3.1 answered: each record that the topic rejects is named,
// so that a client tells each of them why (KIP-467).
func TestProduceNamesEachRejectedRecord(t *testing.T) {
	b, _ := open(t, nil)
	withTopic(t, b, "t", 1)
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	alter.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = "cleanup.policy", kmsg.StringPtr("compact")
	r.Configs = append(r.Configs, c)
	alter.Resources = append(alter.Resources, r)
	if code := ask(t, b, alter, kmsg.NewPtrIncrementalAlterConfigsResponse()).Resources[0].ErrorCode; code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	got := put(t, b, "t", 0, batchOf(record.NoProducer(), "a", "b", "c"), nil)
	if got.ErrorCode != kerr.InvalidRecord.Code || len(got.ErrorRecords) != 3 {
		t.Fatalf("code %d, %d records named; want %d, 3", got.ErrorCode, len(got.ErrorRecords), kerr.InvalidRecord.Code)
	}
	for i, e := range got.ErrorRecords {
		if e.RelativeOffset != int32(i) || e.ErrorMessage == nil {
			t.Errorf("record %d: %+v", i, e)
		}
	}
}

// Our own encoder and kmsg's decoder agree at every version, with all that an
// answer may hold.
func TestProduceAnswersAtEveryVersion(t *testing.T) {
	b, _ := open(t, nil)
	topic := withTopic(t, b, "t", 1)
	invalid := &record.Invalid{Record: 2, Reason: "no key", Err: kerr.InvalidRecord, More: []record.Rejected{{Record: 5, Reason: "late"}}}
	for version := int16(3); version <= 13; version++ {
		req := kmsg.NewPtrProduceRequest()
		req.Version = version
		req.Topics = []kmsg.ProduceRequestTopic{
			{Topic: "t", TopicID: topic.ID, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 0}, {Partition: 1}}},
			{Topic: "u", TopicID: topic.ID, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 7}}},
		}
		r := b.newProduceReply(req)
		r.all[0].done = replication.Appended{BaseOffset: 11, LogAppendTime: 12, LogStartOffset: 13}
		r.all[1].err = invalid
		r.all[2].err, r.all[2].partition = kerr.NotLeaderForPartition, topic.partitions[0]
		r.findLeaders(t.Context())
		body, err := r.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		got := kmsg.NewPtrProduceResponse()
		got.Version = version
		if err := got.ReadFrom(body); err != nil {
			t.Fatalf("v%d: %v", version, err)
		}
		if again := got.AppendTo(nil); !bytes.Equal(again, body) {
			t.Errorf("v%d: the answer encodes to other bytes", version)
		}
		stored, rejected, moved := got.Topics[0].Partitions[0], got.Topics[0].Partitions[1], got.Topics[1].Partitions[0]
		if stored.ErrorCode != 0 || stored.BaseOffset != 11 || stored.LogAppendTime != 12 || version >= 5 && stored.LogStartOffset != 13 {
			t.Errorf("v%d: %+v", version, stored)
		}
		if rejected.ErrorCode != kerr.InvalidRecord.Code || rejected.BaseOffset != -1 || version >= 8 && (len(rejected.ErrorRecords) != 2 || *rejected.ErrorRecords[1].ErrorMessage != "late" || rejected.ErrorMessage == nil) {
			t.Errorf("v%d: %+v", version, rejected)
		}
		leader, endpoints := int32(-1), 0
		if version >= 10 {
			leader, endpoints = b.nodeID(), 1
		}
		if moved.Partition != 7 || moved.ErrorCode != kerr.NotLeaderForPartition.Code || moved.CurrentLeader.LeaderID != leader || len(got.Brokers) != endpoints {
			t.Errorf("v%d: %+v", version, moved)
		}
	}
}
