package broker_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
)

func TestHostileFetchPositions(t *testing.T) {
	type request = kmsg.FetchRequest
	type partition = kmsg.FetchRequestTopicPartition
	play(t, []hostileRow{
		{number: 94, what: "offset 2^62", send: fetched(func(_ *request, p *partition) { p.FetchOffset = 1 << 62 }), want: code(1)},
		{number: 95, what: "offset -5", send: fetched(func(_ *request, p *partition) { p.FetchOffset = -5 }), want: code(1)},
		{number: 96, what: "a client that says it is replica 1", send: fetched(func(r *request, _ *partition) { r.ReplicaID = 1 }), want: code(6)},
		{number: 97, what: "the longest wait for the most bytes", want: silent, send: fetched(func(r *request, _ *partition) {
			r.MinBytes, r.MaxWaitMillis = 1<<31-1, 1<<31-1
		})},
		{number: 100, what: "an unknown fetch session", send: fetched(func(r *request, _ *partition) { r.SessionID, r.SessionEpoch = 12345, 2 }), want: code(70)},
		{number: 101, what: "an unknown topic id", want: code(100), send: func(h *hostile) []byte {
			r := h.fetch(func(r *request, _ *partition) { r.Version = 13 })
			r.Topics[0].TopicID[3]++
			return frame(r)
		}},
		{number: 102, what: "the id of a topic that was made again", want: code(100), send: func(h *hostile) []byte {
			h.deleteTopic()
			h.must(creation(h.topic, 1)) // the row keeps the older id
			return frame(h.fetch(func(r *request, _ *partition) { r.Version = 13 }))
		}},
		{number: 103, what: "an old leader epoch", want: code(74), send: fetched(func(r *request, p *partition) { r.Version, p.CurrentLeaderEpoch = 12, 0 }), kafka: code(0)},
		{number: 103, what: "a leader epoch that is not yet", want: code(75), send: fetched(func(r *request, p *partition) { r.Version, p.CurrentLeaderEpoch = 12, 1000 })},
		{number: 127, what: "a fetch from the middle of a batch", send: inTheMiddle(1), want: code(0), check: wholeBatch},
		{number: 127, what: "a fetch from the marker of a transaction", run: fromTheMarker},
		{number: 128, what: "max.bytes 1", send: inTheMiddle(0), want: code(0), check: wholeBatch},
	})
}

// inTheMiddle writes a batch of three records and fetches a byte from an offset in it.
func inTheMiddle(offset int64) func(*hostile) []byte {
	return func(h *hostile) []byte {
		h.must(h.produce(goodBatch("a", "b", "c")))
		return frame(h.fetch(func(r *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
			p.FetchOffset, p.PartitionMaxBytes, r.MaxBytes = offset, 1, 1
		}))
	}
}

func wholeBatch(h *hostile, r kmsg.Response) {
	b := record.Batch(r.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches)
	if len(b) != len(goodBatch("a", "b", "c")) || b.Count() != 3 || b.CRC() != b.Checksum() {
		h.Errorf("%d bytes, want the batch of %d as it was written", len(b), len(goodBatch("a", "b", "c")))
	}
}

// fromTheMarker commits a transaction, and fetches from its marker on.
func fromTheMarker(h *hostile) {
	h.coordinator(1, h.topic)
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.Version, begin.TransactionalID, begin.TransactionTimeoutMillis = 4, &h.topic, 10_000
	id := h.must(begin).(*kmsg.InitProducerIDResponse)
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.Version, add.TransactionalID, add.ProducerID, add.ProducerEpoch = 3, h.topic, id.ProducerID, id.ProducerEpoch
	add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: h.topic, Partitions: []int32{0}}}
	h.must(add)
	o := record.NoProducer()
	o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = id.ProducerID, id.ProducerEpoch, 0, true
	write := h.produce(batchBy(o, "a"))
	write.TransactionID = &h.topic
	h.must(write)
	end := kmsg.NewPtrEndTxnRequest()
	end.Version, end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = 3, h.topic, id.ProducerID, id.ProducerEpoch, true
	h.must(end)
	var got record.Batch
	for began := time.Now(); len(got) == 0 && time.Since(began) < patience; { // the marker is written after the answer
		got = h.must(h.fetch(func(r *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
			p.FetchOffset, r.MinBytes, r.MaxWaitMillis, r.IsolationLevel = 1, 1, 1000, 1
		})).(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches
	}
	if len(got) < record.HeaderSize || !got.IsControl() || got.BaseOffset() != 1 {
		h.Errorf("%d bytes, want the marker at offset 1", len(got))
	}
}

func (h *hostile) deleteTopic() {
	h.Helper()
	r := kmsg.NewPtrDeleteTopicsRequest()
	r.Version, r.TopicNames, r.TimeoutMillis = 5, []string{h.topic}, 10_000
	h.must(r)
}

func TestHostileCodecs(t *testing.T) {
	lz4 := []byte("\x04\x22\x4d\x18\x60\x40\x82\xff\xff\xff\x7f")
	xerial := append([]byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"), "\x7f\xff\xff\xff"...)
	play(t, []hostileRow{
		{number: 104, what: "zstd in Produce v6", want: code(76), send: func(h *hostile) []byte {
			o := record.NoProducer()
			o.Codec = record.CodecZstd
			r := h.produce(batchBy(o, "value"))
			r.Version = 6
			return frame(r)
		}},
		{number: 105, what: "256 MiB of zstd", send: batched(around(record.CodecZstd, 1, zstdBomb(256))), want: code(10), kafka: code(87)},
		{number: 106, what: "an lz4 block of 2147483647 bytes", send: batched(around(record.CodecLZ4, 1, lz4)), want: code(2), kafka: code(-1)},
		{number: 106, what: "a snappy block of 2147483647 bytes", send: batched(around(record.CodecSnappy, 1, xerial)), want: code(2), kafka: code(-1)},
		{number: 106, what: "snappy that says it becomes 2^32-1 bytes", send: batched(around(record.CodecSnappy, 1, []byte("\xff\xff\xff\xff\x0f\x00"))), want: code(2), kafka: code(-1)},
		{number: 107, what: "128 members of gzip, 1 MiB each", send: batched(around(record.CodecGzip, 1, bytes.Repeat(gzipped(1<<20), 128))), want: code(10), kafka: code(87)},
	})
}

func zstdBomb(mib int) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // the options are constants
	}
	zeros := make([]byte, 1<<20)
	for range mib {
		_, _ = w.Write(zeros) // a Buffer takes all
	}
	_ = w.Close()
	return out.Bytes()
}

func TestHostileCrowds(t *testing.T) {
	slow := map[string]string{"auto.create.topics.enable": "false"}
	play(t, []hostileRow{
		{number: 108, what: "100000 topics in one Metadata", set: slow, run: manyTopics},
		{number: 116, what: "a client that is done sending", run: halfOpen},
		{number: 117, what: "a frame of 100 MiB, a byte each second", set: slow, run: slowLoris},
		{number: 124, what: "a client that never reads", set: map[string]string{"connections.max.idle.ms": "60000"}, run: neverReads},
		{number: 126, what: "a topic that goes while it is read and written", set: slow, run: goesMeanwhile},
	})
}

func manyTopics(h *hostile) {
	r := kmsg.NewPtrMetadataRequest()
	r.Version = 8
	for i := range 100_000 {
		r.Topics = append(r.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(fmt.Sprint("none-", i))})
	}
	answer := h.ask(r).(*kmsg.MetadataResponse)
	if len(answer.Topics) != len(r.Topics) || answer.Topics[99_999].ErrorCode != 3 {
		h.Errorf("%d topics in the answer", len(answer.Topics))
	}
}

// halfOpen: what was sent before the end is answered or not, and the connection
// is closed for good.
func halfOpen(h *hostile) {
	c := h.dial()
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		h.Skip("needs a network that closes one way")
	}
	if err := half.CloseWrite(); err != nil {
		h.Fatal(err)
	}
	if got, _ := h.result(c, frame(versionsRequest())); got != closed {
		h.Errorf("got %v", got)
	}
}

// slowLoris: the memory of a frame grows with the bytes that come, and the
// connection ends when the frame is not whole in time.
func slowLoris(h *hostile) {
	c := h.dial()
	if got, _ := h.outcome(c, frame(versionsRequest())); got != code(0) {
		h.Fatal(got)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		h.Fatal(err)
	}
	began := time.Now()
	if _, err := c.Write(binary.BigEndian.AppendUint32(nil, 100<<20)); err != nil {
		h.Fatal(err)
	}
	for {
		if _, err := c.Write([]byte{0}); err != nil {
			break
		}
		time.Sleep(time.Second)
	}
	if took := time.Since(began); took < 10*time.Minute || took > 10*time.Minute+2*time.Second {
		h.Errorf("closed after %v, want connections.max.idle.ms", took)
	}
}

// neverReads: answers that nobody takes stop the reading of requests, and then
// end the connection.
func neverReads(h *hostile) {
	h.must(h.produce(goodBatch(string(make([]byte, 900_000)))))
	c := h.dial()
	if err := c.SetDeadline(time.Time{}); err != nil {
		h.Fatal(err)
	}
	one := frame(h.fetch(nil))
	began := time.Now()
	sent := 0
	for sent < 1_000_000 {
		n, err := c.Write(one)
		sent += n
		if err != nil {
			break
		}
	}
	if took := time.Since(began); took < time.Minute || took > 2*time.Minute {
		h.Errorf("closed after %v, want a minute", took)
	}
	if sent == 1_000_000 {
		h.Error("a megabyte of requests was read of a peer that reads no answer")
	}
}

// goesMeanwhile deletes the topic under a fetch that waits.
func goesMeanwhile(h *hostile) {
	parked := h.dial()
	waiting := frame(h.fetch(func(r *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { r.MinBytes, r.MaxWaitMillis = 1, 4000 }))
	if _, err := parked.Write(waiting); err != nil {
		h.Fatal(err)
	}
	h.deleteTopic()
	if got, _ := h.result(parked, waiting); got != code(3) && got != code(100) {
		h.Errorf("the fetch that waits: %v", got)
	}
	if got, _ := h.outcome(h.dial(), frame(h.produce(goodBatch()))); got != code(3) {
		h.Errorf("a produce: %v", got)
	}
	if got, _ := h.outcome(h.dial(), frame(h.fetch(nil))); got != code(3) {
		h.Errorf("a fetch: %v", got)
	}
}
