package broker_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
)

// Offsets of the fields of a record batch (KIP-98), in bytes.
const (
	atLength          = 8
	atMagic           = 16
	atCRC             = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atCount           = 57
)

// produced is a Produce v8 of one good batch, changed.
func produced(change func(*kmsg.ProduceRequest)) func(*hostile) []byte {
	return func(h *hostile) []byte {
		r := h.produce(goodBatch())
		change(r)
		return frame(r)
	}
}

// batched is a Produce of bytes.
func batched(b []byte) func(*hostile) []byte {
	return func(h *hostile) []byte { return frame(h.produce(b)) }
}

func (h *hostile) produce(b []byte) *kmsg.ProduceRequest {
	r := kmsg.NewPtrProduceRequest()
	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Records = b
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = h.topic, []kmsg.ProduceRequestTopicPartition{partition}
	r.Version, r.Acks, r.TimeoutMillis, r.Topics = 8, 1, 5000, []kmsg.ProduceRequestTopic{topic}
	return r
}

func goodBatch(values ...string) record.Batch {
	if values == nil {
		values = []string{"value"}
	}
	return batchBy(record.NoProducer(), values...)
}

func batchBy(o record.BuilderOptions, values ...string) record.Batch {
	builder := record.NewBuilder(o)
	for _, v := range values {
		builder.Append(record.Record{Timestamp: time.Now().UnixMilli(), Value: []byte(v)})
	}
	return builder.Build()
}

// bent changes a good batch and seals it again; spoiled does not seal it.
func bent(change func(b []byte)) func(*hostile) []byte {
	return func(h *hostile) []byte {
		b := goodBatch()
		change(b)
		return frame(h.produce(seal(b)))
	}
}

func spoiled(change func(b []byte)) func(*hostile) []byte {
	return func(h *hostile) []byte {
		b := goodBatch()
		change(b)
		return frame(h.produce(b))
	}
}

func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func put32(at int, v int32) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint32(b[at:], uint32(v)) }
}

// A rawRecord is a record whose lengths may lie.
type rawRecord struct {
	size         int64 // added to the right one
	delta        int64
	key, headers int64
}

// holding is a batch of records as they stand.
func holding(codec int8, records ...rawRecord) func(*hostile) []byte {
	return func(h *hostile) []byte {
		var body []byte
		for _, r := range records {
			one := binary.AppendVarint([]byte{0, 0}, r.delta) // attributes, time
			one = binary.AppendVarint(one, r.key)
			one = append(binary.AppendVarint(one, 5), "value"...)
			one = binary.AppendVarint(one, r.headers)
			body = append(binary.AppendVarint(body, int64(len(one))+r.size), one...)
		}
		return frame(h.produce(around(codec, int32(len(records)), body)))
	}
}

// around puts a batch header before encoded records.
func around(codec int8, count int32, body []byte) []byte {
	b := append(bytes.Clone(goodBatch()[:record.HeaderSize]), body...)
	b[atAttributes+1] = byte(codec)
	put32(atLength, int32(len(b)-record.LogOverhead))(b)
	put32(atLastOffsetDelta, count-1)(b)
	put32(atCount, count)(b)
	return seal(b)
}

// at is a batch whose one record has this time, in milliseconds.
func at(ms func() int64) func(*hostile) []byte {
	return func(h *hostile) []byte {
		b := goodBatch()
		binary.BigEndian.PutUint64(b[atBaseTimestamp:], uint64(ms()))
		binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(ms()))
		return frame(h.produce(seal(b)))
	}
}

func gzipped(size int) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	zeros := make([]byte, 1<<20)
	for range size >> 20 {
		_, _ = w.Write(zeros) // a Buffer takes all
	}
	_ = w.Close()
	return out.Bytes()
}

func TestHostileProduce(t *testing.T) {
	fine := rawRecord{key: -1}
	play(t, []hostileRow{
		{number: 36, what: "unknown topic", send: produced(func(r *kmsg.ProduceRequest) { r.Topics[0].Topic = "no-such-topic" }), want: code(3)},
		{number: 37, what: "partition 99", send: produced(func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Partition = 99 }), want: code(3)},
		{number: 38, what: "partition -1", send: produced(func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Partition = -1 }), want: code(3)},
		{number: 39, what: "acks 2", send: produced(func(r *kmsg.ProduceRequest) { r.Acks = 2 }), want: code(21)},
		{number: 40, what: "no batch", send: batched([]byte{}), want: code(87)},
		{number: 40, what: "null for a batch", send: batched(nil), want: code(87), kafka: silent},
		{number: 41, what: "5 bytes", send: batched([]byte("short")), want: code(87)},
		{number: 42, what: "wrong checksum", send: spoiled(func(b []byte) { b[len(b)-1]++ }), want: code(2)},
		{number: 43, what: "magic 1", send: bent(func(b []byte) { b[atMagic] = 1 }), want: code(87)},
		{number: 44, what: "magic 9", send: bent(func(b []byte) { b[atMagic] = 9 }), want: code(2)},
		{number: 45, what: "batch length 2147483647", send: spoiled(put32(atLength, 1<<31-1)), want: code(2), kafka: code(-1)},
		{number: 46, what: "batch length 0", send: spoiled(put32(atLength, 0)), want: code(2)},
		{number: 47, what: "batch length -5", send: spoiled(put32(atLength, -5)), want: code(2)},
		{number: 48, what: "two batches", send: func(h *hostile) []byte { return frame(h.produce(append(goodBatch(), goodBatch()...))) }, want: code(87)},
		{number: 49, what: "base offset 5", send: spoiled(func(b []byte) { b[7] = 5 }), want: code(87)},
		{number: 50, what: "count 5 of 1 record", send: bent(put32(atCount, 5)), want: code(87)},
		{number: 51, what: "count 1 of 2 records", want: code(87), send: func(h *hostile) []byte {
			b := goodBatch("a", "b")
			put32(atCount, 1)(b)
			return frame(h.produce(seal(b)))
		}},
		{number: 52, what: "count -1", send: bent(put32(atCount, -1)), want: code(87)},
		{number: 53, what: "count 0", send: bent(put32(atCount, 0)), want: code(87)},
		{number: 54, what: "count 2147483647", send: bent(put32(atCount, 1<<31-1)), want: code(87)},
		{number: 55, what: "last offset delta 7 of 1 record", send: bent(put32(atLastOffsetDelta, 7)), want: code(87)},
		{number: 56, what: "offset deltas 0 and 5", send: holding(0, fine, rawRecord{key: -1, delta: 5}), want: code(87), kafka: code(0)},
		{number: 57, what: "record longer than the batch", send: holding(0, rawRecord{key: -1, size: 1000}), want: code(87)},
		{number: 58, what: "key length -2", send: holding(0, rawRecord{key: -2}), want: code(87), kafka: code(0)},
		{number: 59, what: "2^30 headers", send: holding(0, rawRecord{key: -1, headers: 1 << 30}), want: code(87)},
		{number: 60, what: "-1 headers", send: holding(0, rawRecord{key: -1, headers: -1}), want: code(87)},
		{number: 61, what: "control batch", send: bent(func(b []byte) { b[atAttributes+1] |= 1 << 5 }), want: code(87)},
		{number: 62, what: "codec 7", send: bent(func(b []byte) { b[atAttributes+1] = 7 }), want: code(76), kafka: code(-1)},
		{number: 63, what: "no gzip though the batch says so", send: holding(1, fine), want: code(2), kafka: code(-1)},
		{number: 64, what: "64 MiB of gzip, and a count that lies", send: batched(around(1, 1, gzipped(64<<20))), want: code(87)},
		{number: 65, what: "time -5", send: at(func() int64 { return -5 }), want: code(32), kafka: code(0)},
		{number: 66, what: "time in 30 days", send: at(func() int64 { return time.Now().Add(30 * 24 * time.Hour).UnixMilli() }), want: code(32)},
		{number: 67, what: "time 2^62", send: at(func() int64 { return 1 << 62 }), want: code(32)},
		{number: 68, what: "batch of 1.2 MiB", send: func(h *hostile) []byte { return frame(h.produce(goodBatch(string(make([]byte, 1200<<10))))) }, want: code(10)},
		{number: 69, what: "acks 0 and a wrong checksum", want: closed, send: func(h *hostile) []byte {
			b := goodBatch()
			b[len(b)-1]++
			r := h.produce(b)
			r.Acks = 0
			return frame(r)
		}},
	})
}
