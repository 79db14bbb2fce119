package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/record"
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
		b.appendOne(t.Context(), req, &p)
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
