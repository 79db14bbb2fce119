package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/twmb/franz-go/pkg/kerr"
)

const now = int64(1_700_000_000_000)

// limits are Kafka's defaults.
func limits() Limits {
	return Limits{MaxBytes: 1048588, Now: now, TimestampAfter: time.Hour}
}

// batchOf builds a batch of the values with sound timestamps.
func batchOf(codec int8, values ...string) Batch {
	o := NoProducer()
	o.Codec = codec
	b := NewBuilder(o)
	for _, v := range values {
		b.Append(Record{Timestamp: now, Key: []byte("k"), Value: []byte(v)})
	}
	return b.Build()
}

// bend changes a sound batch of two records and mends its checksum.
func bend(change func(b Batch)) []byte {
	b := batchOf(CodecNone, "one", "two")
	change(b)
	b.seal()
	return b
}

// around makes a batch whose records are these raw bytes.
func around(count int32, records []byte, attributes uint16) []byte {
	b := append(batchOf(CodecNone, "x")[:HeaderSize:HeaderSize], records...)
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-LogOverhead))
	binary.BigEndian.PutUint32(b[countAt:], uint32(count))
	binary.BigEndian.PutUint32(b[lastOffsetDeltaAt:], uint32(count-1))
	binary.BigEndian.PutUint16(b[attributesAt:], attributes)
	Batch(b).seal()
	return b
}

// raw encodes a record from its varints: size 0 means the true one.
func raw(size int64, fields ...any) []byte {
	body := []byte{0} // attributes
	for _, f := range fields {
		switch f := f.(type) {
		case int:
			body = binary.AppendVarint(body, int64(f))
		case string:
			body = append(body, f...)
		}
	}
	if size == 0 {
		size = int64(len(body))
	}
	return append(binary.AppendVarint(nil, size), body...)
}

func put32(at int, v int32) func(Batch) {
	return func(b Batch) { binary.BigEndian.PutUint32(b[at:], uint32(v)) }
}

func put64(at int, v int64) func(Batch) {
	return func(b Batch) { binary.BigEndian.PutUint64(b[at:], uint64(v)) }
}

func put16(at int, v uint16) func(Batch) {
	return func(b Batch) { binary.BigEndian.PutUint16(b[at:], v) }
}

// stamped is a batch of one record with this timestamp.
func stamped(timestamp int64) []byte {
	b := NewBuilder(NoProducer())
	b.Append(Record{Timestamp: timestamp, Value: []byte("v")})
	return b.Build()
}

// broken swaps the payload of a compressed batch for these bytes.
func broken(codec int8, payload []byte) []byte { return around(1, payload, uint16(codec)) }

// bomb is a gzip of 64 MiB of zeros that says it holds five records.
func bomb() []byte {
	record := raw(0, 0, 0, -1, 64<<20, string(make([]byte, 64<<20)), 0)
	return around(5, compress(nil, record, CodecGzip, DefaultLevel), uint16(CodecGzip))
}

func fromProducer(id int64, epoch int16, sequence int32, transactional bool) []byte {
	b := NewBuilder(BuilderOptions{ProducerID: id, ProducerEpoch: epoch, BaseSequence: sequence, Transactional: transactional})
	b.Append(Record{Timestamp: now, Value: []byte("v")})
	return b.Build()
}

// The numbers are the rows of the catalogue of hostile inputs, each recorded
// from Apache Kafka 4.3.1; "stricter" marks where Kafka is laxer.
func TestValidateRefuses(t *testing.T) {
	sound := batchOf(CodecNone, "one", "two")
	tests := []struct {
		name string
		b    []byte
		want *kerr.Error
	}{
		{"40 no batch", nil, kerr.InvalidRecord},
		{"41 five bytes", []byte{0, 0, 0, 0, 0}, kerr.InvalidRecord},
		{"41 cut batch", sound[:len(sound)-1], kerr.InvalidRecord},
		{"42 bad checksum", append(bytes.Clone(sound[:len(sound)-1]), 0xff), kerr.CorruptMessage},
		{"43 magic 1", bend(func(b Batch) { b[magicAt] = 1 }), kerr.InvalidRecord},
		{"44 magic 9", bend(func(b Batch) { b[magicAt] = 9 }), kerr.CorruptMessage},
		{"44 magic -1", bend(func(b Batch) { b[magicAt] = 0xff }), kerr.CorruptMessage},
		{"45 batch length 2^31-1, stricter", bend(put32(lengthAt, math.MaxInt32)), kerr.CorruptMessage},
		{"46 batch length 0", bend(put32(lengthAt, 0)), kerr.CorruptMessage},
		{"47 batch length -5", bend(put32(lengthAt, -5)), kerr.CorruptMessage},
		{"48 two batches", append(bytes.Clone(sound), sound...), kerr.InvalidRecord},
		{"49 base offset 5", bend(func(b Batch) { b.SetBaseOffset(5) }), kerr.InvalidRecord},
		{"50 count 5 of 1 record", around(5, raw(0, 0, 0, -1, 1, "v", 0), 0), kerr.InvalidRecord},
		{"51 count 1 of 2 records", around(1, bytes.Repeat(raw(0, 0, 0, -1, 1, "v", 0), 2), 0), kerr.InvalidRecord},
		{"52 count -1", bend(put32(countAt, -1)), kerr.InvalidRecord},
		{"53 count 0", bend(put32(countAt, 0)), kerr.InvalidRecord},
		{"54 count 2^31-1", around(math.MaxInt32, raw(0, 0, 0, -1, 1, "v", 0), 0), kerr.InvalidRecord},
		{"55 last offset delta 7 of 2", bend(put32(lastOffsetDeltaAt, 7)), kerr.InvalidRecord},
		{"56 offset deltas 0 and 5, stricter", around(2, append(raw(0, 0, 0, -1, 0, 0), raw(0, 0, 5, -1, 0, 0)...), 0), kerr.InvalidRecord},
		{"57 record longer than the batch", around(1, raw(999, 0, 0, -1, 1, "v", 0), 0), kerr.InvalidRecord},
		{"57 record longer than its fields", around(1, raw(0, 0, 0, -1, 1, "v", 0, "junk"), 0), kerr.InvalidRecord},
		{"57 record of size -1", around(1, raw(-1), 0), kerr.InvalidRecord},
		{"57 record of size 0", around(1, []byte{0}, 0), kerr.InvalidRecord},
		{"58 key length -2, stricter", around(1, raw(0, 0, 0, -2, 1, "v", 0), 0), kerr.InvalidRecord},
		{"58 value length -2, stricter", around(1, raw(0, 0, 0, -1, -2, 0), 0), kerr.InvalidRecord},
		{"59 header count 2^30", around(1, raw(0, 0, 0, -1, 1, "v", 1<<30), 0), kerr.InvalidRecord},
		{"60 header count -1", around(1, raw(0, 0, 0, -1, 1, "v", -1), 0), kerr.InvalidRecord},
		{"60 header key null", around(1, raw(0, 0, 0, -1, 1, "v", 1, -1, 0), 0), kerr.InvalidRecord},
		{"60 header value -2", around(1, raw(0, 0, 0, -1, 1, "v", 1, 1, "h", -2), 0), kerr.InvalidRecord},
		{"61 control bit", bend(put16(attributesAt, controlBit)), kerr.InvalidRecord},
		{"61 delete horizon", bend(put16(attributesAt, deleteHorizonBit)), kerr.InvalidRecord},
		{"62 codec 7, stricter", bend(put16(attributesAt, 7)), kerr.UnsupportedCompressionType},
		{"63 gzip bit without gzip, stricter", bend(put16(attributesAt, 1)), kerr.CorruptMessage},
		{"63 snappy bit without snappy", bend(put16(attributesAt, 2)), kerr.CorruptMessage},
		{"63 lz4 bit without lz4", bend(put16(attributesAt, 3)), kerr.CorruptMessage},
		{"63 zstd bit without zstd", bend(put16(attributesAt, 4)), kerr.CorruptMessage},
		{"64 gzip bomb of 64 MiB with a false count", bomb(), kerr.InvalidRecord},
		{"65 timestamp -5, stricter", stamped(-5), kerr.InvalidTimestamp},
		{"66 timestamp in 30 days", stamped(now + 30*24*3600*1000), kerr.InvalidTimestamp},
		{"67 timestamp 2^62", stamped(1 << 62), kerr.InvalidTimestamp},
		{"67 timestamp overflows", around(1, raw(0, math.MaxInt64, 0, -1, 0, 0), 0), kerr.InvalidTimestamp},
		{"67 client sets LogAppendTime", bend(put16(attributesAt, logAppendTimeBit)), kerr.InvalidTimestamp},
		{"68 batch of 1.2 MiB", batchOf(CodecNone, strings.Repeat("x", 1200<<10)), kerr.MessageTooLarge},
		{"70 producer id without a sequence", fromProducer(9, 0, -1, false), kerr.InvalidRecord},
		{"70 producer id without an epoch", fromProducer(9, -1, 0, false), kerr.InvalidRecord},
		{"70 producer id -2", fromProducer(-2, 0, 0, false), kerr.InvalidRecord},
		{"70 transactional without a producer id", fromProducer(-1, -1, -1, true), kerr.InvalidRecord},
		{"106 snappy length 2^31-1", broken(CodecSnappy, binary.AppendUvarint(nil, math.MaxInt32)), kerr.CorruptMessage},
		{"106 xerial block length 2^31-1", broken(CodecSnappy, []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x7f\xff\xff\xff")), kerr.CorruptMessage},
		{"106 xerial cut", broken(CodecSnappy, []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00")), kerr.CorruptMessage},
		{"106 lz4 block length 2^31-1", broken(CodecLZ4, []byte("\x04\x22\x4d\x18\x60\x40\x82\xff\xff\xff\x7f")), kerr.CorruptMessage},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := Validate(test.b, limits())
			var got *kerr.Error
			if !errors.As(err, &got) || got.Code != test.want.Code {
				t.Fatalf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestValidateAccepts(t *testing.T) {
	lax := func(change func(*Limits)) Limits {
		l := limits()
		change(&l)
		return l
	}
	bare := batchOf(CodecNone, "v")
	raw := s2.EncodeSnappy(nil, bare[HeaderSize:])
	tests := []struct {
		name string
		b    []byte
		l    Limits
	}{
		{"two records", batchOf(CodecNone, "one", "two"), limits()},
		{"no timestamp", stamped(-1), limits()},
		{"no limit after", stamped(1 << 62), lax(func(l *Limits) { l.TimestampAfter = 0 })},
		{"any timestamp under LogAppendTime", stamped(-5), lax(func(l *Limits) { l.LogAppendTime = true })},
		{"old timestamp", stamped(0), limits()},
		{"idempotent", fromProducer(9, 0, math.MaxInt32, false), limits()},
		{"transactional", fromProducer(9, 32766, 0, true), limits()},
		{"sequence of a producer without id, as sarama sends", fromProducer(-1, -1, 0, false), limits()},
		{"key in a compacted topic", batchOf(CodecNone, "v"), lax(func(l *Limits) { l.Compacted = true })},
		{"exactly max.message.bytes", bare, lax(func(l *Limits) { l.MaxBytes = len(bare) })},
		{"gzip", batchOf(CodecGzip, "one", "two"), limits()},
		{"snappy with xerial framing", batchOf(CodecSnappy, "one", "two"), limits()},
		{"bare snappy", around(1, raw, uint16(CodecSnappy)), limits()},
		{"lz4", batchOf(CodecLZ4, "one", "two"), limits()},
		{"zstd", batchOf(CodecZstd, "one", "two"), limits()},
		{"gzip of two members", around(1, append(compress(nil, bare[HeaderSize:HeaderSize+4], CodecGzip, DefaultLevel),
			compress(nil, bare[HeaderSize+4:], CodecGzip, DefaultLevel)...), uint16(CodecGzip)), limits()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := bytes.Clone(test.b)
			if _, _, err := Validate(test.b, test.l); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, test.b) {
				t.Fatal("Validate changed the batch")
			}
		})
	}
}

func TestValidateTopicRules(t *testing.T) {
	keyless := stamped(now)
	tests := []struct {
		name string
		b    []byte
		l    Limits
		want *kerr.Error
	}{
		{"compacted topic needs a key", keyless, Limits{Compacted: true}, kerr.InvalidRecord},
		{"zstd before Produce v7", batchOf(CodecZstd, "v"), Limits{NoZstd: true}, kerr.UnsupportedCompressionType},
		{"too old", stamped(now - 2000), Limits{Now: now, TimestampBefore: time.Second}, kerr.InvalidTimestamp},
		{"no future at all", stamped(now + 1), Limits{Now: now, TimestampAfter: time.Nanosecond}, kerr.InvalidTimestamp},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := Validate(test.b, test.l)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestInvalidNamesTheRecord(t *testing.T) {
	_, _, err := Validate(around(2, append(raw(0, 0, 0, -1, 0, 0), raw(0, 0, 5, -1, 0, 0)...), 0), limits())
	var got *Invalid
	if !errors.As(err, &got) || got.Record != 1 {
		t.Fatalf("got %v, want record 1", err)
	}
	if want := "record 1: offset delta 5: INVALID_RECORD"; got.Error() != want {
		t.Fatalf("got %q, want %q", got.Error(), want)
	}
}

// Kafka tells every record that it rejects, not only the first (KIP-467).
func TestEveryRejectedRecordIsNamed(t *testing.T) {
	keyless := func(codec int8, count int) Batch {
		o := NoProducer()
		o.Codec = codec
		b := NewBuilder(o)
		for range count {
			b.Append(Record{Timestamp: now, Value: []byte("v")})
		}
		return b.Build()
	}
	_, _, err := Validate(keyless(CodecGzip, 3), Limits{Compacted: true})
	var got *Invalid
	if !errors.As(err, &got) {
		t.Fatal(err)
	}
	if got.Record != 0 || len(got.More) != 2 || got.More[0].Record != 1 || got.More[1].Record != 2 || got.More[1].Reason != got.Reason {
		t.Fatalf("got %+v, want records 0, 1 and 2", got)
	}
	if _, _, err := Validate(keyless(CodecNone, maxRejected+100), Limits{Compacted: true}); !errors.As(err, &got) || len(got.More) != maxRejected {
		t.Fatalf("%d records named, want %d", len(got.More), maxRejected)
	}
	late := stamped(now - 2000)
	if _, _, err := Validate(late, Limits{Now: now, TimestampBefore: time.Second, Compacted: true}); !errors.Is(err, kerr.InvalidRecord) {
		t.Fatalf("got %v; the key is asked for first", err)
	}
}
