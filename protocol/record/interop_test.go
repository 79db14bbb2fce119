package record

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kgo"
)

// franz-go's codecs are what its users send and what they read with.
func TestCodecsAgreeWithFranz(t *testing.T) {
	src := bytes.Repeat([]byte("words that repeat, and words that do not; "), 5000)
	for name, codec := range map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			theirs, err := kgo.DefaultCompressor(codec)
			if err != nil {
				t.Fatal(err)
			}
			sent, _ := theirs.Compress(new(bytes.Buffer), src)
			spent := spending{limit: 1 << 20}
			if got, err := decompress(nil, sent, codecs[name], &spent); err != nil || !bytes.Equal(got, src) {
				t.Fatalf("ours reads %d bytes of theirs, %v", len(got), err)
			}
			ours := compress(nil, src, codecs[name], DefaultLevel)
			got, err := kgo.DefaultDecompressor().Decompress(ours, kgo.CompressionCodecType(codecs[name]))
			if err != nil || !bytes.Equal(got, src) {
				t.Fatalf("theirs reads %d bytes of ours, %v", len(got), err)
			}
		})
	}
}

// Pooled codecs must not carry a channel from one bubble into the next.
func TestCodecsCrossBubbles(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			for name, codec := range codecs {
				if _, _, err := Validate(filled(codec, 16<<10), Limits{}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}
