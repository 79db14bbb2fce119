package broker

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/log"
	"github.com/oncelog/oncelog/protocol/record"
)

// ask serves one request and decodes the answer.
func ask[R kmsg.Response](t testing.TB, b *Broker, r kmsg.Request, as R) R {
	t.Helper()
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, r, 1)
	reply, err := b.table.Serve(connected(t.Context()), frame[4:], nil)
	if err != nil {
		t.Fatalf("%s v%d: %v", kmsg.NameForKey(r.Key()), r.GetVersion(), err)
	}
	as.SetVersion(r.GetVersion())
	body := reply[8:]
	if as.IsFlexible() && r.Key() != int16(kmsg.ApiVersions) {
		body = body[1:]
	}
	if err := as.ReadFrom(body); err != nil {
		t.Fatalf("%s v%d: %v", kmsg.NameForKey(r.Key()), r.GetVersion(), err)
	}
	if again := as.AppendTo(nil); !bytes.Equal(again, body) {
		t.Errorf("%s v%d: the answer encodes to other bytes", kmsg.NameForKey(r.Key()), r.GetVersion())
	}
	return as
}

// batchOf makes one batch of the values.
func batchOf(options record.BuilderOptions, values ...string) record.Batch {
	builder := record.NewBuilder(options)
	for i, value := range values {
		builder.Append(record.Record{Timestamp: int64(1000 + i), Value: []byte(value)})
	}
	return builder.Build()
}

// put produces one batch and returns its partition's answer.
func put(t *testing.T, b *Broker, topic string, partition int32, batch record.Batch, txid *string) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks, r.TimeoutMillis, r.TransactionID = 12, -1, 5000, txid
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, batch
	rt.Partitions = append(rt.Partitions, rp)
	r.Topics = append(r.Topics, rt)
	return ask(t, b, r, kmsg.NewPtrProduceResponse()).Topics[0].Partitions[0]
}

// getting is a Fetch of some partitions of one topic, each from an offset.
func getting(version int16, topic *topic, offsets ...int64) *kmsg.FetchRequest {
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.MaxBytes, r.MinBytes, r.SessionEpoch = version, 1<<20, 1, -1
	rt := kmsg.NewFetchRequestTopic()
	if rt.Topic = topic.Name; version >= 13 {
		rt.Topic, rt.TopicID = "", topic.ID
	}
	for i, offset := range offsets {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = int32(i), offset, 1<<20
		rt.Partitions = append(rt.Partitions, p)
	}
	r.Topics = append(r.Topics, rt)
	return r
}

func withTopic(t testing.TB, b *Broker, name string, partitions int32) *topic {
	t.Helper()
	if err := b.EnsureTopic(t.Context(), name, partitions); err != nil {
		t.Fatal(err)
	}
	found, ok := b.topics.load().byName(name)
	if !ok {
		t.Fatalf("topic %s is not served", name)
	}
	return found
}

// Our own encoder and kmsg's decoder agree at every version, with and without
// records and aborted transactions.
func TestFetchAnswersAtEveryVersion(t *testing.T) {
	b, _ := open(t, nil)
	topic := withTopic(t, b, "t", 2)
	sent := batchOf(record.NoProducer(), "a", "b")
	put(t, b, "t", 0, bytes.Clone(sent), nil)
	for version := int16(4); version <= 18; version++ {
		r := getting(version, topic, 0, 0)
		r.IsolationLevel = int8(version % 2)
		resp := ask(t, b, r, kmsg.NewPtrFetchResponse())
		got := resp.Topics[0].Partitions
		want := bytes.Clone(sent)
		record.Batch(want).SetLeaderEpoch(topic.partitions[0].Leadership().Epoch)
		if !bytes.Equal(got[0].RecordBatches, want) {
			t.Errorf("v%d: records are not what was stored", version)
		}
		if got[0].HighWatermark != 2 || got[0].LastStableOffset != 2 || len(got[1].RecordBatches) != 0 || got[1].HighWatermark != 0 {
			t.Errorf("v%d: %+v", version, got)
		}
		if committed := version%2 == 1; committed != (got[0].AbortedTransactions != nil) {
			t.Errorf("v%d: aborted transactions %v with read_committed %v", version, got[0].AbortedTransactions, committed)
		}
	}
}

func TestFetchErrors(t *testing.T) {
	b, _ := open(t, nil)
	topic := withTopic(t, b, "t", 1)
	put(t, b, "t", 0, batchOf(record.NoProducer(), "a"), nil)
	epoch := topic.partitions[0].Leadership().Epoch
	for name, c := range map[string]struct {
		change func(*kmsg.FetchRequest)
		want   int16
	}{
		"at the log end is no error":         {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 1 }, 0},
		"above the log end":                  {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 2 }, kerr.OffsetOutOfRange.Code},
		"below the log start":                {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = -1 }, kerr.OffsetOutOfRange.Code},
		"a partition that is not":            {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].Partition = 7 }, kerr.UnknownTopicOrPartition.Code},
		"a topic id that is not":             {func(r *kmsg.FetchRequest) { r.Topics[0].TopicID[3]++ }, kerr.UnknownTopicID.Code},
		"an older leader epoch":              {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch - 1 }, kerr.FencedLeaderEpoch.Code},
		"a newer leader epoch":               {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch + 1 }, kerr.UnknownLeaderEpoch.Code},
		"the present leader epoch":           {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch }, 0},
		"a client that says it is a replica": {func(r *kmsg.FetchRequest) { r.ReplicaState.ID = 1 }, kerr.NotLeaderForPartition.Code},
	} {
		r := getting(18, topic, 0)
		c.change(r)
		got := ask(t, b, r, kmsg.NewPtrFetchResponse()).Topics[0].Partitions[0]
		if got.ErrorCode != c.want {
			t.Errorf("%s: %v, want %v", name, kerr.ErrorForCode(got.ErrorCode), kerr.ErrorForCode(c.want))
		}
	}
}

// The first batch comes whole whatever the limits say, and only the first.
func TestFetchLimits(t *testing.T) {
	b, _ := open(t, nil)
	topic := withTopic(t, b, "t", 2)
	big := batchOf(record.NoProducer(), string(make([]byte, 1000)))
	for partition := range int32(2) {
		for range 3 {
			put(t, b, "t", partition, bytes.Clone(big), nil)
		}
	}
	size := big.Size()
	for name, c := range map[string]struct {
		most, perPartition int
		want               []int
	}{
		"one byte gives one batch":            {1, 1, []int{1, 0}},
		"a partition's limit":                 {1 << 20, 2 * size, []int{2, 2}},
		"a partition's limit below one batch": {1 << 20, 1, []int{1, 0}},
		"the request's limit":                 {4*size + 10, 1 << 20, []int{3, 1}},
	} {
		r := getting(12, topic, 0, 0)
		r.MaxBytes = int32(c.most)
		for i := range r.Topics[0].Partitions {
			r.Topics[0].Partitions[i].PartitionMaxBytes = int32(c.perPartition)
		}
		for i, got := range ask(t, b, r, kmsg.NewPtrFetchResponse()).Topics[0].Partitions {
			if len(got.RecordBatches) != c.want[i]*size {
				t.Errorf("%s: partition %d has %d bytes, want %d batches of %d", name, i, len(got.RecordBatches), c.want[i], size)
			}
		}
	}
}

// An answer is bounded whatever the client would take, unless it waits for more,
// and is the smaller the more are on their way already.
func TestFetchRepliesAreBounded(t *testing.T) {
	b, _ := open(t, nil)
	topic := withTopic(t, b, "t", 1)
	batch := batchOf(record.NoProducer(), strings.Repeat("x", 900<<10))
	for range 12 {
		put(t, b, "t", 0, slices.Clone(batch), nil)
	}
	for name, c := range map[string]struct {
		minBytes int
		writing  int64
		want     int // batches
	}{
		"of itself":                 {1, 0, 8},
		"by what others hold":       {1, replyBudget * 3 / 4, 4},
		"to a first batch":          {1, 2 * replyBudget, 1},
		"but not below the minimum": {9 * batch.Size(), 2 * replyBudget, 9},
	} {
		r := getting(12, topic, 0)
		r.MaxBytes, r.MinBytes, r.Topics[0].Partitions[0].PartitionMaxBytes = 50<<20, int32(c.minBytes), 50<<20
		b.server.writing.Add(c.writing)
		resp := ask(t, b, r, kmsg.NewPtrFetchResponse())
		b.server.writing.Add(-c.writing)
		if got := len(resp.Topics[0].Partitions[0].RecordBatches) / batch.Size(); got != c.want {
			t.Errorf("bounded %s: %d batches, want %d", name, got, c.want)
		}
	}
}

// A fetch that waits is woken by what it waits for, and by nothing else.
func TestFetchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := open(t, nil)
		topic := withTopic(t, b, "t", 1)
		size := batchOf(record.NoProducer(), "a").Size()
		for name, c := range map[string]struct {
			minBytes int
			produce  int // batches, one each second
			want     time.Duration
		}{
			"for nothing":        {0, 0, 0},
			"until time is over": {1, 0, 5 * time.Second},
			"for one batch":      {1, 1, time.Second},
			"for enough bytes":   {3 * size, 4, 3 * time.Second},
			"for more than came": {100 * size, 2, 5 * time.Second},
			"for more than fits": {math.MaxInt32, 2, 2 * time.Second},
		} {
			r := getting(12, topic, topic.partitions[0].EndOffset())
			r.MinBytes, r.MaxWaitMillis = int32(c.minBytes), 5000
			if c.minBytes == math.MaxInt32 {
				r.MaxBytes = int32(2 * size)
			}
			began := time.Now()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range c.produce {
					time.Sleep(time.Second)
					put(t, b, "t", 0, batchOf(record.NoProducer(), "a"), nil)
				}
			}()
			ask(t, b, r, kmsg.NewPtrFetchResponse())
			if took := time.Since(began); took != c.want {
				t.Errorf("%s: answered after %v, want %v", name, took, c.want)
			}
			<-done
		}
	})
}

// A fetch that waits on many partitions is woken by any of them.
func TestFetchWaitsOnManyPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := open(t, nil)
		topic := withTopic(t, b, "t", 20)
		r := getting(12, topic, make([]int64, 20)...)
		r.MaxWaitMillis = 60_000
		began := time.Now()
		go func() {
			time.Sleep(time.Second)
			put(t, b, "t", 17, batchOf(record.NoProducer(), "a"), nil)
		}()
		resp := ask(t, b, r, kmsg.NewPtrFetchResponse())
		if took := time.Since(began); took != time.Second || len(resp.Topics[0].Partitions[17].RecordBatches) == 0 {
			t.Errorf("answered after %v with %d bytes", took, len(resp.Topics[0].Partitions[17].RecordBatches))
		}
	})
}

// A waiting fetch of a topic that is deleted is answered at once.
func TestFetchOfADeletedTopicIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := open(t, nil)
		topic := withTopic(t, b, "t", 1)
		r := getting(18, topic, 0)
		r.MaxWaitMillis = 60_000
		began := time.Now()
		var deleting sync.WaitGroup
		deleting.Go(func() {
			time.Sleep(time.Second)
			if err := b.metadata.DeleteTopic(context.WithoutCancel(t.Context()), topic.ID); err != nil {
				t.Error(err)
			}
		})
		got := ask(t, b, r, kmsg.NewPtrFetchResponse()).Topics[0].Partitions[0]
		if took := time.Since(began); took != time.Second || got.ErrorCode != kerr.UnknownTopicID.Code {
			t.Errorf("answered after %v with %v", took, kerr.ErrorForCode(got.ErrorCode))
		}
		deleting.Wait()
	})
}

// The list of aborted transactions moves the records that follow it, at every
// way of encoding it.
func TestAbortedTransactionsStandBeforeTheRecords(t *testing.T) {
	list := []log.AbortedTxn{{ProducerID: 7, FirstOffset: 1}, {ProducerID: 8, FirstOffset: 3}}
	records := bytes.Repeat([]byte{9}, 300)
	for _, version := range []int16{4, 11, 12} {
		e := encoder{flexible: version >= 12}
		at := len(e.b)
		e.aborted(nil, true)
		e.b = append(e.b, records...)
		empty := e.emptyListSize()
		e.insertAborted(at, list)
		var want encoder
		want.flexible = e.flexible
		want.aborted(list, true)
		want.b = append(want.b, records...)
		if !bytes.Equal(e.b, want.b) || empty == 0 {
			t.Errorf("v%d: the list is not where it belongs", version)
		}
	}
}

// The length of records is written in as many bytes as it needs, whatever was
// guessed.
func TestRecordLengthIsMinimal(t *testing.T) {
	for _, guess := range []int{0, 100, 1 << 14, 1 << 22} {
		for _, length := range []int{0, 1, 126, 127, 128, 16382, 16383, 1 << 15} {
			e := encoder{flexible: true, b: []byte("head")}
			prefix := e.lengthSize(guess)
			e.b = append(e.b, make([]byte, prefix)...)
			begin := len(e.b)
			e.b = append(e.b, bytes.Repeat([]byte{7}, length)...)
			e.putLength(begin, prefix, length)
			want := append([]byte("head"), kmsgCompactBytes(bytes.Repeat([]byte{7}, length))...)
			if !bytes.Equal(e.b, want) {
				t.Errorf("guess %d, length %d: %d bytes, want %d", guess, length, len(e.b), len(want))
			}
		}
	}
}

// kmsgCompactBytes is how kmsg writes compact bytes.
func kmsgCompactBytes(b []byte) []byte {
	r := kmsg.NewPtrSASLAuthenticateRequest()
	r.Version, r.SASLAuthBytes = 2, b
	encoded := r.AppendTo(nil)
	return encoded[:len(encoded)-1] // without the tags
}
