package record

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzValidate: no panic, and what is accepted can be read to exactly its
// count, survives each rewrite, and reads the same for kmsg.
func FuzzValidate(f *testing.F) {
	for _, codec := range codecs {
		f.Add([]byte(build(codec)), false)
		f.Add([]byte(batchOf(codec, "one", "two")), false)
	}
	f.Add([]byte(NewMarker(1, 1, Control{}, 1)), false)
	f.Add(around(2, append(raw(0, 0, 0, -1, 0, 0), raw(0, 0, 5, -1, 0, 0)...), 0), true)
	f.Add(broken(CodecLZ4, []byte("\x04\x22\x4d\x18\x60\x40\x82\xff\xff\xff\x7f")), true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal && len(b) >= HeaderSize {
			Batch(b).seal() // else the checksum hides all that comes after it
		}
		budget := NewBudget(8 << 20)
		batch, info, err := Validate(b, Limits{Decompressed: 4 << 20, Budget: budget})
		if budget.Used() != 0 {
			t.Fatalf("%d bytes of budget are gone", budget.Used())
		}
		if err != nil {
			return
		}
		count := readAllRecords(t, batch)
		if batch.Codec() == CodecNone {
			var other kmsg.RecordBatch
			if err := other.ReadFrom(bytes.Clone(b)); err != nil {
				t.Fatalf("kmsg cannot read it: %v", err)
			}
		}
		stored, err := Rewrite(batch, info, Target{Codec: CodecNone, LogAppendTime: 1})
		if err != nil {
			t.Fatal(err)
		}
		if again := readAllRecords(t, stored); again != count {
			t.Fatalf("%d records became %d", count, again)
		}
	})
}

func readAllRecords(t *testing.T, b Batch) int32 {
	t.Helper()
	var n int32
	for r, err := range b.Records(nil) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Offset != b.BaseOffset()+int64(n) {
			t.Fatalf("record %d has offset %d", n, r.Offset)
		}
		n++
	}
	if n != b.Count() {
		t.Fatalf("%d records, count says %d", n, b.Count())
	}
	return n
}

// FuzzRecords: stored bytes that are damaged give an error, never a panic.
func FuzzRecords(f *testing.F) {
	for _, codec := range codecs {
		f.Add([]byte(build(codec)))
	}
	f.Add([]byte(NewMarker(1, 1, Control{Commit: true}, 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		batch, err := Peek(b)
		if err != nil {
			return
		}
		buf := &Buffers{MaxBytes: 4 << 20}
		for _, err := range batch.Records(buf) {
			if err != nil {
				break
			}
		}
		if _, _, err := batch.Control(); err != nil && batch.Codec() == CodecNone && !batch.IsControl() {
			t.Fatal(err)
		}
	})
}
