package protocol

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol/record"
)

// produceReply answers one partition without kmsg.
type produceReply struct{ request *kmsg.ProduceRequest }

func (p produceReply) AppendTo(dst []byte) ([]byte, error) {
	return append(dst, make([]byte, 40)...), nil
}

// produceTable decodes and validates as a broker does, and stores nothing.
func produceTable(b *testing.B) *Table {
	table, err := NewTable(OnReply(0, 13, emptyProduce, func(_ context.Context, r *kmsg.ProduceRequest) (Reply, error) {
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				p := &r.Topics[i].Partitions[j]
				if _, _, err := record.Validate(p.Records, record.Limits{MaxBytes: 2 << 20}); err != nil {
					return nil, err
				}
			}
		}
		return produceReply{r}, nil
	}))
	if err != nil {
		b.Fatal(err)
	}
	return table
}

func produceFrame(size, partitions int) []byte {
	builder := record.NewBuilder(record.NoProducer())
	for builder.Len() < size {
		builder.Append(record.Record{Timestamp: 1, Value: make([]byte, 1024)})
	}
	records := builder.Build()
	r := kmsg.NewPtrProduceRequest()
	r.Acks = -1
	topic := kmsg.NewProduceRequestTopic()
	topic.TopicID[0] = 1
	for i := range partitions {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = int32(i), records
		topic.Partitions = append(topic.Partitions, p)
	}
	r.Topics = append(r.Topics, topic)
	return requestFrame(r, 13)
}

// BenchmarkServe/Produce is a frame from the socket to its answer: read,
// header, shape, decode, validate, encode.
func BenchmarkServe(b *testing.B) {
	for _, size := range []struct{ batch, partitions int }{{1 << 10, 1}, {16 << 10, 1}, {1 << 20, 1}, {1 << 10, 100}} {
		b.Run(fmt.Sprintf("Produce/batch=%dKiB/partitions=%d", size.batch>>10, size.partitions), func(b *testing.B) {
			frame := produceFrame(size.batch, size.partitions)
			serveAll(b, produceTable(b), frame)
		})
	}
	b.Run("Metadata", func(b *testing.B) {
		serveAll(b, testTable(b), requestFrame(kmsg.NewPtrMetadataRequest(), 13))
	})
	b.Run("Fetch/partitions=100", func(b *testing.B) {
		r := kmsg.NewPtrFetchRequest()
		r.Topics = []kmsg.FetchRequestTopic{{Partitions: make([]kmsg.FetchRequestTopicPartition, 100)}}
		serveAll(b, testTable(b), requestFrame(r, 13))
	})
}

func serveAll(b *testing.B, table *Table, frame []byte) {
	wire := append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
	source := bytes.NewReader(wire)
	r := bufio.NewReaderSize(source, firstChunk)
	ctx := WithConn(b.Context(), new(Conn))
	var in, out []byte
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := source.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		r.Reset(source)
		var err error
		if in, err = ReadFrame(r, 100<<20, in, nil); err != nil {
			b.Fatal(err)
		}
		if out, err = table.Serve(ctx, in, out[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkShape is the walk alone, which pays for not trusting the counts.
func BenchmarkShape(b *testing.B) {
	frame := produceFrame(1<<10, 100)
	s, err := shapeOf(kmsg.NewPtrProduceRequest(), 13)
	if err != nil {
		b.Fatal(err)
	}
	body := frame[len(header(0, 13))+1:]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.check(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkShapeOf(b *testing.B) {
	for b.Loop() {
		if _, err := shapeOf(kmsg.NewPtrProduceRequest(), 13); err != nil {
			b.Fatal(err)
		}
	}
}
