// The cells with kafka-go, which writes batches without a producer id: it has no idempotence and no transactions.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/oncelog/oncelog/tools/interop/go/cells"
	"github.com/segmentio/kafka-go"
)

func main() {
	const reason = "kafka-go has no idempotent or transactional producer"
	cells.Main(func(bootstrap string) (cells.Library, error) {
		addr, err := net.ResolveTCPAddr("tcp", bootstrap)
		return library{bootstrap, &kafka.Client{Addr: addr, Timeout: 10 * time.Second}}, err
	}, map[string]string{"idempotent": reason, "txn": reason, "etl": reason})
}

var errorLogger = kafka.LoggerFunc(func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })

type library struct {
	bootstrap string
	client    *kafka.Client
}

func (l library) CreateTopic(ctx context.Context, topic string, partitions int32) error {
	created, err := l.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: int(partitions), ReplicationFactor: 1}},
	})
	if err != nil {
		return err
	}
	if err := created.Errors[topic]; err != nil {
		return err
	}
	for {
		listed, err := l.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		if err != nil || listed.Topics[0].Error == nil {
			return err
		}
	}
}

func (l library) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	fetched, err := l.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group})
	if err != nil {
		return nil, err
	}
	all := map[int32]int64{}
	for _, p := range fetched.Topics[topic] {
		if p.Error != nil {
			return nil, p.Error
		}
		all[int32(p.Partition)] = p.CommittedOffset
	}
	return all, fetched.Error
}

type producer struct{ *kafka.Writer }

func (l library) Producer(_ context.Context, transactionalID string) (cells.Producer, error) {
	if transactionalID != "" {
		return nil, errors.ErrUnsupported
	}
	return producer{&kafka.Writer{
		Addr: l.client.Addr, RequiredAcks: kafka.RequireAll, BatchTimeout: 10 * time.Millisecond, ErrorLogger: errorLogger,
		Balancer: kafka.BalancerFunc(func(m kafka.Message, _ ...int) int { return int(m.WriterData.(int32)) }),
	}}, nil
}

func (p producer) Send(ctx context.Context, topic string, records []cells.Record) error {
	var all []kafka.Message
	for _, r := range records {
		all = append(all, kafka.Message{Topic: topic, Key: r.Key, Value: r.Value, WriterData: r.Partition})
	}
	return p.WriteMessages(ctx, all...)
}

func (p producer) Begin(context.Context) error  { return errors.ErrUnsupported }
func (p producer) Commit(context.Context) error { return errors.ErrUnsupported }
func (p producer) Abort(context.Context) error  { return errors.ErrUnsupported }

func (p producer) Close() {
	if err := p.Writer.Close(); err != nil {
		errorLogger.Printf("close of a writer: %v", err)
	}
}

// Only the cells that kafka-go lacks ask for these.

func (l library) HighWatermarks(context.Context, string) (map[int32]int64, error) {
	return nil, errors.ErrUnsupported
}

func (l library) Read(context.Context, string, int32, bool, func(cells.Record) bool) ([]cells.Record, error) {
	return nil, errors.ErrUnsupported
}

func (l library) Transformer(context.Context, string, string, string, string) (cells.Transformer, error) {
	return nil, errors.ErrUnsupported
}
