package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

var produceCodecTopic = Case{
	ID:          "produce/codec/3",
	Title:       "a topic's own codec is what batches are stored in; producer, epoch and sequence stay",
	Requirement: "compression.type, KIP-390; LogValidator, KIP-98",
	Level:       Must,
	Run: func(t *T) {
		for codec, name := range []string{"uncompressed", "gzip", "snappy", "lz4", "zstd"} {
			if codec == 0 {
				continue
			}
			log := t.oneLog("compression.type", name)
			p := t.idempotent()
			t.mustCode("Produce", p.send(log, 0, 2).ErrorCode, codeNone)
			t.mustCode("Produce", p.send(log, 2, 3).ErrorCode, codeNone)
			again := p.send(log, 2, 3)
			t.code("retry, "+name, again.ErrorCode, codeNone)
			t.equal("its offset", again.BaseOffset, 2)
			seen := ""
			for _, b := range t.log(log) {
				seen += fmt.Sprintf("codec %d, own producer %v, epoch %d, sequence %d; ", b.codec, b.producerID == p.id, b.producerEpoch, b.baseSequence)
			}
			t.equal("stored, "+name, seen, fmt.Sprintf("codec %d, own producer true, epoch 0, sequence 0; codec %d, own producer true, epoch 0, sequence 2; ", codec, codec))
		}
		log := t.oneLog("compression.type", "uncompressed")
		producer := t.client(kgo.ProducerBatchCompression(kgo.GzipCompression()), kgo.DefaultProduceTopic(log.topic.name))
		if err := producer.ProduceSync(t.ctx, kgo.StringRecord("a value that gzip makes smaller, a value that gzip makes smaller")).FirstErr(); err != nil {
			t.fatalf("produce gzip", "no error", "%v", err)
		}
		if all := t.log(log); t.equal("batches", len(all), 1) {
			t.equal("codec where the topic is uncompressed", all[0].codec, 0)
		}
	},
}
