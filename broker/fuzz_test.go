package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/log/vfs"
	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/protocol/memnet"
	"github.com/oncelog/oncelog/protocol/record"
	"github.com/oncelog/oncelog/protocol/sweep"
)

const (
	// servedByOne is how many fuzzed requests one broker sees, so that what they
	// leave behind has an end.
	servedByOne = 3000
	// requestTime is when a fuzzed request that waits loses its peer.
	requestTime = 10 * time.Millisecond
	// fuzzedPartitions bounds what a request may create: a fuzzer that makes ten
	// thousand raft groups finds nothing else.
	fuzzedPartitions = 20
)

// FuzzRequests gives requests to a whole broker in memory, one after the other:
// no panic anywhere, each error closes the connection, each answer is whole.
func FuzzRequests(f *testing.F) {
	b := fuzzedBroker(f)
	for _, c := range sweep.Cases(b.table, nil) {
		f.Add(c.Key, c.Version, c.Request.AppendTo(nil))
	}
	for _, r := range fruitful() {
		f.Add(r.Key(), r.GetVersion(), r.AppendTo(nil))
	}
	f.Add(int16(kmsg.CreatePartitions), int16(2), []byte("\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00")) // 2^32 tags
	served, created := 0, newCreations(f)
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		if created.many(key, version, body) {
			return
		}
		if served++; served%servedByOne == 0 {
			closeFuzzed(t, b)
			b = fuzzedBroker(t)
		}
		ctx, cancel := context.WithTimeout(connected(t.Context()), requestTime)
		defer cancel()
		frame := requestOf(key, version, body)
		reply, err := b.table.Serve(ctx, frame, nil)
		if err != nil {
			if !errors.Is(err, protocol.ErrClose) {
				t.Fatal(err)
			}
			return
		}
		if reply == nil {
			if key != int16(kmsg.Produce) {
				t.Fatalf("key %d v%d has no answer", key, version)
			}
			return
		}
		checkReply(t, key, version, reply)
	})
}

// checkReply demands a whole answer, with nothing left over.
func checkReply(t *testing.T, key, version int16, reply []byte) {
	t.Helper()
	if size := int(binary.BigEndian.Uint32(reply)); size != len(reply)-4 || binary.BigEndian.Uint32(reply[4:]) != 7 {
		t.Fatalf("answer of %d bytes says %d, correlation id %x", len(reply)-4, size, reply[4:8])
	}
	resp := kmsg.ResponseForKey(key)
	if version > resp.MaxVersion() {
		version = 0 // ApiVersions
	}
	resp.SetVersion(version)
	body := reply[8:]
	if resp.IsFlexible() && key != int16(kmsg.ApiVersions) {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		t.Fatalf("key %d v%d: %v", key, version, err)
	}
	if size := len(resp.AppendTo(nil)); size != len(body) {
		t.Fatalf("key %d v%d: the answer has %d bytes, %d of them are read", key, version, len(body), size)
	}
}

// requestOf is a frame without its length.
func requestOf(key, version int16, body []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 7, 0xff, 0xff)
	if r := kmsg.RequestForKey(key); r != nil {
		if r.SetVersion(max(0, version)); r.IsFlexible() {
			b = append(b, 0)
		}
	}
	return append(b, body...)
}

// creations counts the partitions that a request would create. Like the broker it
// decodes only what it has walked: kmsg counts through 2^32 tags that are not there.
type creations struct {
	table *protocol.Table
	count int
}

func newCreations(f *testing.F) *creations {
	c := &creations{}
	var err error
	c.table, err = protocol.NewTable(
		protocol.On(2, 7, func(_ context.Context, r *kmsg.CreateTopicsRequest, _ *kmsg.CreateTopicsResponse) error {
			for _, t := range r.Topics {
				c.count += max(1, int(t.NumPartitions), len(t.ReplicaAssignment))
			}
			return protocol.ErrClose
		}),
		protocol.On(0, 3, func(_ context.Context, r *kmsg.CreatePartitionsRequest, _ *kmsg.CreatePartitionsResponse) error {
			for _, t := range r.Topics {
				c.count += int(t.Count)
			}
			return protocol.ErrClose
		}),
		protocol.On(0, 13, func(_ context.Context, r *kmsg.MetadataRequest, _ *kmsg.MetadataResponse) error {
			c.count = len(r.Topics) // it may create, too
			return protocol.ErrClose
		}),
	)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// many says that a request would create more partitions than one is fuzzed with.
func (c *creations) many(key, version int16, body []byte) bool {
	switch key {
	case int16(kmsg.CreateTopics), int16(kmsg.CreatePartitions), int16(kmsg.Metadata):
	default:
		return false
	}
	c.count = 0
	_, err := c.table.Serve(connected(context.Background()), requestOf(key, version, body), nil)
	return errors.Is(err, protocol.ErrClose) && c.count > fuzzedPartitions
}

// fruitful are requests that get beyond the first check: they name what exists.
func fruitful() []kmsg.Request {
	produce := kmsg.NewPtrProduceRequest()
	produce.Version, produce.Acks, produce.TimeoutMillis = 9, -1, 5
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{
		{Records: batchOf(record.NoProducer(), "a", "b")},
		{Partition: 1, Records: batchOf(record.BuilderOptions{ProducerID: 1, Codec: record.CodecZstd}, "c")},
	}}}
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version, fetch.MaxBytes, fetch.SessionEpoch, fetch.ReplicaID = 12, 1<<20, 0, -1
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.PartitionMaxBytes = 1 << 20
	fetch.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{partition}}}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = 3, "g", 6000, 10, "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("m")}}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.Generation = 8, "g", -1
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{kmsg.NewOffsetCommitRequestTopicPartition()}}}
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.Version, begin.TransactionalID, begin.TransactionTimeoutMillis = 4, kmsg.StringPtr("x"), 1000
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.Version, add.TransactionalID, add.ProducerID = 3, "x", 0
	add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}}
	end := kmsg.NewPtrEndTxnRequest()
	end.Version, end.TransactionalID, end.ProducerID, end.Commit = 3, "x", 0, true
	return []kmsg.Request{produce, fetch, join, commit, begin, add, end}
}

// fuzzedBroker has a topic t with two partitions, and its coordinators.
func fuzzedBroker(t testing.TB) *Broker {
	t.Helper()
	network := memnet.New()
	b, err := Open(context.Background(), Config{
		Properties: map[string]string{"offsets.topic.num.partitions": "1", "transaction.state.log.num.partitions": "1", "group.initial.rebalance.delay.ms": "0"},
		FS:         vfs.NewMem(), Listen: network.Listen, Dial: network.Dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, partitions := range map[string]int32{"t": 2, offsetsTopic: 1, txnTopic: 1} {
		if err := b.EnsureTopic(context.Background(), name, partitions); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func closeFuzzed(t *testing.T, b *Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
