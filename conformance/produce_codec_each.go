package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

var produceCodecEach = Case{
	ID:          "produce/codec/2",
	Title:       "records of every codec are stored and read back",
	Requirement: "KIP-110; compression.type=producer keeps the codec",
	Level:       Must,
	Run: func(t *T) {
		codecs := map[string]kgo.CompressionCodec{
			"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
			"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
		}
		value := strings.Repeat("value ", 200)
		for _, name := range slices.Sorted(maps.Keys(codecs)) {
			codec := codecs[name]
			tp := t.newTopic(1)
			producer := t.client(kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(tp.name))
			for range 3 {
				if err := producer.ProduceSync(t.ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
					t.fatalf("produce "+name, "no error", "%v", err)
				}
			}
			consumer := t.client(kgo.ConsumeTopics(tp.name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			ctx, cancel := context.WithTimeout(t.ctx, patience)
			good := 0
			for got := 0; got < 3; {
				fetches := consumer.PollFetches(ctx)
				if err := fetches.Err(); err != nil {
					cancel()
					t.fatalf("consume "+name, "3 records", "%d records and %v", got, err)
				}
				fetches.EachRecord(func(r *kgo.Record) {
					got++
					if string(r.Value) == value {
						good++
					}
				})
			}
			cancel()
			t.equal("records as sent, "+name, fmt.Sprint(good), "3")
		}
	},
}
