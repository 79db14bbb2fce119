// The cells with sarama.
package main

import (
	"bytes"
	"context"
	"io"
	stdlog "log"
	"os"
	"regexp"
	"time"

	"github.com/IBM/sarama"
	"github.com/oncelog/oncelog/tools/interop/go/cells"
)

func main() {
	cells.Main(open, nil)
}

type library struct {
	client sarama.Client
	admin  sarama.ClusterAdmin
}

func open(bootstrap string) (cells.Library, error) {
	sarama.DebugLogger = stdlog.New(io.Discard, "", 0)
	sarama.Logger = stdlog.New(trouble{}, "", 0)
	client, err := sarama.NewClient([]string{bootstrap}, config())
	if err != nil {
		return nil, err
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	return library{client, admin}, err
}

// trouble passes on what would be a warning, for sarama's log has no levels. A consumer that is closed may find that
// it has closed its own connection; that is nothing.
type trouble struct{}

var words = regexp.MustCompile(`(?i)kafka server|error|fail|unable|unknown|retry|abandon|not available|leaderless|timed? ?out|unexpected|EOF`)

func (trouble) Write(line []byte) (int, error) {
	if words.Match(line) && !bytes.Contains(line, []byte(sarama.ErrNotConnected.Error())) {
		return os.Stderr.Write(line)
	}
	return len(line), nil
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Net.MaxOpenRequests = 1 // sarama asks for it of an idempotent producer
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Return.Errors = true
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond // so that a rebalance is soon noticed
	return c
}

func (l library) CreateTopic(_ context.Context, topic string, partitions int32) error {
	if err := l.admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false); err != nil {
		return err
	}
	for {
		listed, err := l.admin.DescribeTopics([]string{topic})
		if err != nil || listed[0].Err == sarama.ErrNoError {
			return err
		}
	}
}

func (l library) HighWatermarks(_ context.Context, topic string) (map[int32]int64, error) {
	partitions, err := l.client.Partitions(topic)
	if err != nil {
		return nil, err
	}
	all := map[int32]int64{}
	for _, p := range partitions {
		if all[p], err = l.client.GetOffset(topic, p, sarama.OffsetNewest); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (l library) Committed(_ context.Context, group, topic string) (map[int32]int64, error) {
	fetched, err := l.admin.ListConsumerGroupOffsets(group, nil)
	if err != nil {
		return nil, err
	}
	all := map[int32]int64{}
	for p, block := range fetched.Blocks[topic] {
		if block.Err != sarama.ErrNoError {
			return nil, block.Err
		}
		all[p] = block.Offset
	}
	return all, nil
}

func (l library) Read(ctx context.Context, topic string, partitions int32, committedOnly bool, isLast func(cells.Record) bool) ([]cells.Record, error) {
	c := config()
	if committedOnly {
		c.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	consumer, err := sarama.NewConsumer([]string{l.client.Brokers()[0].Addr()}, c)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	var all []cells.Record
	for p := range partitions {
		read, err := readPartition(ctx, consumer, topic, p, isLast)
		if err != nil {
			return nil, err
		}
		all = append(all, read...)
	}
	return all, nil
}

func readPartition(ctx context.Context, consumer sarama.Consumer, topic string, partition int32, isLast func(cells.Record) bool) ([]cells.Record, error) {
	from, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	defer from.AsyncClose()
	var all []cells.Record
	for {
		select {
		case m := <-from.Messages():
			r := incoming(m)
			all = append(all, r)
			if isLast(r) {
				return all, nil
			}
		case err := <-from.Errors():
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func incoming(m *sarama.ConsumerMessage) cells.Record {
	r := cells.Record{Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, cells.Header{Key: string(h.Key), Value: h.Value})
	}
	return r
}

type producer struct{ sarama.SyncProducer }

func (l library) Producer(_ context.Context, transactionalID string) (cells.Producer, error) {
	return l.producer(transactionalID)
}

func (l library) producer(transactionalID string) (producer, error) {
	c := config()
	c.Producer.Transaction.ID = transactionalID
	p, err := sarama.NewSyncProducer([]string{l.client.Brokers()[0].Addr()}, c)
	return producer{p}, err
}

func (p producer) Send(_ context.Context, topic string, records []cells.Record) error {
	var all []*sarama.ProducerMessage
	for _, r := range records {
		m := &sarama.ProducerMessage{Topic: topic, Partition: r.Partition}
		if r.Key != nil {
			m.Key = sarama.ByteEncoder(r.Key)
		}
		if r.Value != nil {
			m.Value = sarama.ByteEncoder(r.Value)
		}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		all = append(all, m)
	}
	return p.SendMessages(all)
}

func (p producer) Begin(context.Context) error  { return p.BeginTxn() }
func (p producer) Commit(context.Context) error { return p.CommitTxn() }
func (p producer) Abort(context.Context) error  { return p.AbortTxn() }

func (p producer) Close() {
	if err := p.SyncProducer.Close(); err != nil {
		sarama.Logger.Println("close of a producer:", err)
	}
}
