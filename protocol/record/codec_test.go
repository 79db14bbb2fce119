package record

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kerr"
)

var codecs = map[string]int8{"none": CodecNone, "gzip": CodecGzip, "snappy": CodecSnappy, "lz4": CodecLZ4, "zstd": CodecZstd}

func noise(size int) []byte {
	b := make([]byte, size)
	rand.New(rand.NewSource(1)).Read(b)
	return b
}

func TestCodecsRoundTrip(t *testing.T) {
	sizes := []int{0, 1, 100, minDecompressed - 1, minDecompressed, minDecompressed + 1, 300 << 10, 2 << 20}
	for name, codec := range codecs {
		if codec == CodecNone {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, size := range sizes {
				for kind, src := range map[string][]byte{"zeros": make([]byte, size), "noise": noise(size)} {
					spent := spending{limit: 8 << 20}
					got, err := decompress(nil, compress(nil, src, codec, DefaultLevel), codec, &spent)
					if err != nil {
						t.Fatalf("%d bytes of %s: %v", size, kind, err)
					}
					if !bytes.Equal(got, src) {
						t.Fatalf("%d bytes of %s came back as %d others", size, kind, len(got))
					}
				}
			}
		})
	}
}

func TestDecompressionStopsAtTheLimit(t *testing.T) {
	const limit = 1 << 20
	for name, codec := range codecs {
		if codec == CodecNone {
			continue
		}
		t.Run(name, func(t *testing.T) {
			exact := spending{limit: limit}
			if _, err := decompress(nil, compress(nil, make([]byte, limit), codec, DefaultLevel), codec, &exact); err != nil {
				t.Fatalf("at the limit: %v", err)
			}
			bomb := compress(nil, make([]byte, 16<<20), codec, DefaultLevel)
			over := spending{limit: limit, budget: NewBudget(1 << 30)}
			if _, err := decompress(nil, bomb, codec, &over); !errors.Is(err, errTooLarge) {
				t.Fatalf("got %v, want %v", err, errTooLarge)
			}
			if over.taken > 2*limit {
				t.Fatalf("took %d bytes for a limit of %d", over.taken, limit)
			}
		})
	}
}

func TestBudgetOfTheProcess(t *testing.T) {
	for name, codec := range codecs {
		if codec == CodecNone {
			continue
		}
		t.Run(name, func(t *testing.T) {
			b := batchOf(codec, string(make([]byte, 3<<20)))
			l := limits()
			l.MaxBytes = 0
			l.Budget = NewBudget(1 << 20)
			if _, _, err := Validate(b, l); !errors.Is(err, kerr.RequestTimedOut) {
				t.Fatalf("got %v, want %v", err, kerr.RequestTimedOut)
			}
			l.Budget = NewBudget(64 << 20)
			_, info, err := Validate(b, l)
			if err != nil {
				t.Fatal(err)
			}
			target := Target{Codec: CodecNone, Budget: NewBudget(1 << 20)}
			if _, err := Rewrite(b, info, target); !errors.Is(err, kerr.RequestTimedOut) {
				t.Fatalf("rewrite: got %v, want %v", err, kerr.RequestTimedOut)
			}
			target.Budget = l.Budget
			if _, err := Rewrite(b, info, target); err != nil {
				t.Fatal(err)
			}
			if l.Budget.Used() != 0 {
				t.Fatalf("%d bytes were not given back", l.Budget.Used())
			}
		})
	}
}

// Java's producer and others write zstd as a stream, whose frame does not tell the
// size of its content, and may end a block anywhere.
func TestZstdWithoutContentSize(t *testing.T) {
	for _, block := range []int{50_000, 100_000, 1 << 20} {
		for _, size := range []int{60_000, 70_000, 130_000, 300_000, 3_000_000} {
			var text []byte
			for i := 0; len(text) < size; i++ {
				text = fmt.Appendf(text, "line %d of text that repeats %d\n", i*7919, i%13)
			}
			sent := streamed(t, text, block)
			spent := spending{limit: 4 << 20}
			if got, err := decompress(nil, sent, CodecZstd, &spent); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%d bytes in blocks of %d: %d bytes, %v", len(text), block, len(got), err)
			}
			spent = spending{limit: len(text) - 1}
			if _, err := decompress(nil, sent, CodecZstd, &spent); !errors.Is(err, errTooLarge) {
				t.Errorf("%d bytes in blocks of %d, one less allowed: %v", len(text), block, err)
			}
		}
	}
}

func streamed(t *testing.T, text []byte, block int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for chunk := range slices.Chunk(text, block) {
		_, err := w.Write(chunk)
		if err = errors.Join(err, w.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCutCompressionIsCorrupt(t *testing.T) {
	for name, codec := range codecs {
		if codec == CodecNone {
			continue
		}
		t.Run(name, func(t *testing.T) {
			whole := compress(nil, bytes.Repeat([]byte("some words "), 100), codec, DefaultLevel)
			for cut := range whole {
				spent := spending{limit: 1 << 20}
				got, err := decompress(nil, whole[:cut], codec, &spent)
				if err == nil && len(got) == 1100 {
					t.Fatalf("%d of %d bytes decompress to the whole", cut, len(whole))
				}
			}
		})
	}
}
