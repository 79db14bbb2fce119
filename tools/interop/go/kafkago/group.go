package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oncelog/oncelog/tools/interop/go/cells"
	"github.com/segmentio/kafka-go"
)

// A member runs a reader for each partition of its generation and gathers what they read.
type member struct {
	bootstrap, topic string
	group            *kafka.ConsumerGroup
	messages         chan kafka.Message
	failed           chan error
	generation       atomic.Pointer[kafka.Generation]
	assigned         atomic.Int32
	next             map[int]int64
	stop             context.CancelFunc
	running          sync.WaitGroup
}

func (l library) Member(_ context.Context, group, topic string) (cells.Member, error) {
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: []string{l.bootstrap}, Topics: []string{topic}, StartOffset: kafka.FirstOffset,
		HeartbeatInterval: 500 * time.Millisecond, ErrorLogger: errorLogger,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{
		bootstrap: l.bootstrap, topic: topic, group: g, messages: make(chan kafka.Message),
		failed: make(chan error, 1), next: map[int]int64{}, stop: cancel,
	}
	m.running.Go(func() { m.run(ctx) })
	return m, nil
}

func (m *member) run(ctx context.Context) {
	for {
		generation, err := m.group.Next(ctx)
		if ctx.Err() != nil || errors.Is(err, kafka.ErrGroupClosed) {
			return
		}
		if err != nil {
			continue // kafka-go has logged it and joins again, as its Reader does
		}
		m.generation.Store(generation)
		mine := generation.Assignments[m.topic]
		m.assigned.Store(int32(len(mine)))
		for _, a := range mine {
			generation.Start(func(ctx context.Context) { m.read(ctx, a) })
		}
		generation.Start(func(ctx context.Context) {
			<-ctx.Done()
			m.assigned.Store(0)
		})
	}
}

// read hands on one partition until the generation ends.
func (m *member) read(ctx context.Context, a kafka.PartitionAssignment) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{m.bootstrap}, Topic: m.topic, Partition: a.ID, MaxWait: 100 * time.Millisecond, ErrorLogger: errorLogger,
	})
	defer reader.Close()
	if err := reader.SetOffset(a.Offset); err != nil {
		m.fail(err)
		return
	}
	for {
		message, err := reader.ReadMessage(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			m.fail(err)
			return
		}
		select {
		case m.messages <- message:
		case <-ctx.Done():
			return
		}
	}
}

// fail keeps the first failure for Poll.
func (m *member) fail(err error) {
	select {
	case m.failed <- err:
	default:
	}
}

func (m *member) Assigned() int { return int(m.assigned.Load()) }

func (m *member) Poll(ctx context.Context) ([]cells.Record, error) {
	var all []cells.Record
	enough := time.After(100 * time.Millisecond)
	for {
		select {
		case message := <-m.messages:
			m.next[message.Partition] = message.Offset + 1
			all = append(all, cells.Record{Partition: int32(message.Partition), Offset: message.Offset, Key: message.Key, Value: message.Value})
		case err := <-m.failed:
			return nil, err
		case <-enough:
			return all, nil
		case <-ctx.Done():
			return all, nil
		}
	}
}

func (m *member) Commit(context.Context) error {
	generation, offsets := m.generation.Load(), map[int]int64{}
	for _, a := range generation.Assignments[m.topic] { // what it had before is another's to commit
		if offset, read := m.next[a.ID]; read {
			offsets[a.ID] = offset
		}
	}
	return generation.CommitOffsets(map[string]map[int]int64{m.topic: offsets})
}

func (m *member) Close() {
	m.stop()
	if err := m.group.Close(); err != nil {
		errorLogger.Printf("close of a consumer group: %v", err)
	}
	m.running.Wait()
}
