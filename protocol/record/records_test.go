package record

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var samples = []Record{
	{Offset: 40, Timestamp: 1000, Key: []byte("k"), Value: []byte("v"), Headers: []Header{{Key: "a", Value: []byte("b")}, {Key: "", Value: nil}}},
	{Offset: 41, Timestamp: 900, Key: nil, Value: []byte{}},
	{Offset: 42, Timestamp: 5000, Key: []byte{}, Value: nil},
}

func build(codec int8) Batch {
	b := NewBuilder(BuilderOptions{ProducerID: 7, ProducerEpoch: 3, BaseSequence: math.MaxInt32 - 1, Codec: codec, BaseOffset: 40, LeaderEpoch: 6})
	for _, r := range samples {
		b.Append(r)
	}
	return b.Build()
}

func collect(t *testing.T, b Batch, buf *Buffers) []Record {
	t.Helper()
	var got []Record
	for r, err := range b.Records(buf) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	return got
}

func TestBuildAndRead(t *testing.T) {
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			b := build(codec)
			if diff := cmp.Diff(collect(t, b, new(Buffers)), samples); diff != "" {
				t.Fatal(diff)
			}
			if b.Checksum() != b.CRC() || b.Size() != len(b) {
				t.Fatalf("crc %#x of %#x, size %d of %d", b.CRC(), b.Checksum(), b.Size(), len(b))
			}
			if b.Count() != 3 || b.LastOffset() != 42 || b.MaxTimestamp() != 5000 || b.LeaderEpoch() != 6 {
				t.Fatalf("count %d, last offset %d, max timestamp %d, epoch %d", b.Count(), b.LastOffset(), b.MaxTimestamp(), b.LeaderEpoch())
			}
			if b.LastSequence() != 0 {
				t.Fatalf("last sequence %d, want 0 after the wrap", b.LastSequence())
			}
		})
	}
}

// kmsg is another reader and writer of the same format.
func TestKmsgReadsTheSame(t *testing.T) {
	b := build(CodecNone)
	var other kmsg.RecordBatch
	if err := other.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	if other.NumRecords != 3 || other.FirstOffset != 40 || other.ProducerID != 7 || other.ProducerEpoch != 3 || other.CRC != int32(b.CRC()) {
		t.Fatalf("got %+v", other)
	}
	if diff := cmp.Diff(other.AppendTo(nil), []byte(b)); diff != "" {
		t.Fatal(diff)
	}
}

func TestKeepOffsets(t *testing.T) {
	o := NoProducer()
	o.BaseOffset, o.KeepOffsets = 10, true
	b := NewBuilder(o)
	b.Append(Record{Offset: 12})
	b.Append(Record{Offset: 17})
	batch := b.Build()
	got := collect(t, batch, nil)
	if batch.BaseOffset() != 10 || batch.LastOffset() != 17 || got[0].Offset != 12 || got[1].Offset != 17 {
		t.Fatalf("got %v in %d..%d", got, batch.BaseOffset(), batch.LastOffset())
	}
}

func TestMarkers(t *testing.T) {
	for _, want := range []Control{{Commit: true, CoordinatorEpoch: 5}, {Commit: false, CoordinatorEpoch: math.MaxInt32}} {
		b := NewMarker(99, 4, want, 1234)
		got, ok, err := b.Control()
		if err != nil || !ok || got != want {
			t.Fatalf("got %+v, %v, %v, want %+v", got, ok, err, want)
		}
		if !b.IsControl() || !b.IsTransactional() || b.ProducerID() != 99 || b.ProducerEpoch() != 4 || b.BaseSequence() != -1 || b.MaxTimestamp() != 1234 {
			t.Fatalf("header of %x", []byte(b))
		}
		var key kmsg.ControlRecordKey
		var value kmsg.EndTxnMarker
		r := collect(t, b, nil)[0]
		if err := errors.Join(key.ReadFrom(r.Key), value.ReadFrom(r.Value)); err != nil {
			t.Fatal(err)
		}
		if (key.Type == kmsg.ControlRecordKeyTypeCommit) != want.Commit || value.CoordinatorEpoch != want.CoordinatorEpoch {
			t.Fatalf("kmsg reads %+v %+v", key, value)
		}
	}
}

func TestControlOfOtherBatches(t *testing.T) {
	if _, ok, err := batchOf(CodecNone, "v").Control(); ok || err != nil {
		t.Fatalf("data: %v, %v", ok, err)
	}
	o := NoProducer()
	o.control = true
	leaderChange := NewBuilder(o)
	leaderChange.Append(Record{Key: []byte{0, 0, 0, 2}})
	if _, ok, err := leaderChange.Build().Control(); ok || err != nil {
		t.Fatalf("leader change: %v, %v", ok, err)
	}
	short := NewBuilder(o)
	short.Append(Record{Key: []byte{0, 0, 0, 1}, Value: []byte{0}})
	if _, _, err := short.Build().Control(); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("short value: %v", err)
	}
}

func TestRewrite(t *testing.T) {
	rewrite := func(b Batch, target Target) Batch {
		t.Helper()
		_, info, err := Validate(b, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Rewrite(b, info, target)
		if err != nil {
			t.Fatal(err)
		}
		if got.CRC() != got.Checksum() || got.Size() != len(got) {
			t.Fatalf("%+v: not sealed", target)
		}
		return got
	}
	b := batchOf(CodecGzip, "one", "two")
	if got := rewrite(b, Target{Codec: KeepCodec}); &got[0] != &b[0] || got.MaxTimestamp() != now {
		t.Fatal("a sound batch was copied")
	}
	if got := rewrite(batchOf(CodecNone, "v"), Target{Codec: KeepCodec, LogAppendTime: now + 7}); !got.LogAppendTime() || collect(t, got, nil)[0].Timestamp != now+7 {
		t.Fatal("no append time")
	}
	wrong := Batch(bend(put64(maxTimestampAt, 5)))
	if got := rewrite(wrong, Target{Codec: KeepCodec}); got.MaxTimestamp() != now {
		t.Fatalf("max timestamp %d", got.MaxTimestamp())
	}
	for name, codec := range codecs {
		got := rewrite(batchOf(CodecGzip, "one", "two"), Target{Codec: codec})
		if got.Codec() != codec || string(collect(t, got, nil)[1].Value) != "two" {
			t.Fatalf("to %s: codec %d", name, got.Codec())
		}
	}
}

// A topic's compression.*.level is used where the broker compresses, and nothing
// of the batch changes but its payload.
func TestRewriteAtLevels(t *testing.T) {
	b := NewBuilder(BuilderOptions{ProducerID: 7, ProducerEpoch: 2, BaseSequence: 40, Transactional: true})
	for i := range 400 {
		b.Append(Record{Timestamp: now + int64(i%3), Key: fmt.Appendf(nil, "key %d", i%17), Value: fmt.Appendf(nil, "value %d of a text that can be pressed", i*i)})
	}
	sent := b.Build()
	_, info, err := Validate(sent, Limits{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for name, levels := range map[string][2]int{"gzip": {1, 9}, "lz4": {9, 17}, "zstd": {-131072, 22}} { // 9 is lz4's fast default
		size := [2]int{}
		for i, level := range levels {
			got, err := Rewrite(sent, info, Target{Codec: codecs[name], Level: level})
			if err != nil {
				t.Fatal(err)
			}
			size[i] = len(got)
			if got.Codec() != codecs[name] || got.ProducerID() != 7 || got.ProducerEpoch() != 2 || got.BaseSequence() != 40 || !got.IsTransactional() ||
				got.Count() != 400 || got.MaxTimestamp() != now+2 || got.CRC() != got.Checksum() {
				t.Errorf("%s at level %d: header changed", name, level)
			}
			if diff := cmp.Diff(collect(t, sent, nil), collect(t, got, nil)); diff != "" {
				t.Errorf("%s at level %d: %s", name, level, diff)
			}
		}
		if size[1] >= size[0] || size[0] >= len(sent) {
			t.Errorf("%s: %d bytes become %d at level %d and %d at level %d", name, len(sent), size[0], levels[0], size[1], levels[1])
		}
	}
}

func TestPeek(t *testing.T) {
	b := batchOf(CodecNone, "v")
	two := append(append([]byte(nil), b...), b...)
	if got, err := Peek(two); err != nil || len(got) != len(b) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	for cut := range b {
		if _, err := Peek(b[:cut]); !errors.Is(err, ErrShort) {
			t.Fatalf("%d bytes: %v", cut, err)
		}
	}
	for name, change := range map[string]func(Batch){"length": put32(lengthAt, 48), "huge": put32(lengthAt, math.MaxInt32-5), "negative": put32(lengthAt, -1), "magic": func(b Batch) { b[magicAt] = 1 }} {
		if _, err := Peek(bend(change)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%s: %v", name, err)
		}
	}
}
