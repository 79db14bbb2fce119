package record

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// filled is a batch of 1 KiB records, size bytes in all before compression.
func filled(codec int8, size int) Batch {
	value := strings.Repeat("0123456789abcdef", 64)
	values := make([]string, size/len(value))
	for i := range values {
		values[i] = value
	}
	return batchOf(codec, values...)
}

func BenchmarkValidate(b *testing.B) {
	for _, size := range []int{16 << 10, 1 << 20} {
		for name, codec := range codecs {
			b.Run(fmt.Sprintf("%s/batch=%dKiB", name, size>>10), func(b *testing.B) {
				batch := filled(codec, size)
				l := limits()
				l.MaxBytes = 0
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, _, err := Validate(batch, l); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkRecords(b *testing.B) {
	batch := filled(CodecNone, 1<<20)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range batch.Records(nil) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func TestValidateUncompressedAllocatesNothing(t *testing.T) {
	for _, size := range []int{16 << 10, 1 << 20} {
		batch, l := filled(CodecNone, size), limits()
		l.MaxBytes = 0
		before := bytes.Clone(batch)
		allocs := testing.AllocsPerRun(20, func() {
			if _, _, err := Validate(batch, l); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 || !bytes.Equal(before, batch) {
			t.Fatalf("%d KiB: %v allocations", size>>10, allocs)
		}
	}
}
