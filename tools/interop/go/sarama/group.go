package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/oncelog/oncelog/tools/interop/go/cells"
)

// A member hands on, one by one, what sarama's handler gets; next is where its reader is.
type member struct {
	topic    string
	group    sarama.ConsumerGroup
	messages chan *sarama.ConsumerMessage
	session  atomic.Pointer[sarama.ConsumerGroupSession]
	assigned atomic.Int32
	next     map[int32]int64
	failed   chan error
	stop     context.CancelFunc
	running  sync.WaitGroup
}

func (l library) Member(_ context.Context, group, topic string) (cells.Member, error) {
	return l.member(group, topic)
}

func (l library) member(group, topic string) (*member, error) {
	c := config()
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	g, err := sarama.NewConsumerGroup([]string{l.client.Brokers()[0].Addr()}, group, c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{topic: topic, group: g, messages: make(chan *sarama.ConsumerMessage), next: map[int32]int64{}, failed: make(chan error, 1), stop: cancel}
	m.running.Go(func() {
		for ctx.Err() == nil {
			if err := g.Consume(ctx, []string{topic}, m); err != nil && !errors.Is(err, sarama.ErrClosedConsumerGroup) {
				m.failed <- err
				return
			}
		}
	})
	m.running.Go(func() {
		for err := range g.Errors() {
			sarama.Logger.Println("consumer group error:", err)
		}
	})
	return m, nil
}

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	m.session.Store(&s)
	m.assigned.Store(int32(len(s.Claims()[m.topic])))
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.assigned.Store(0)
	return nil
}

func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		select {
		case m.messages <- message:
		case <-s.Context().Done():
			return nil
		}
	}
	return nil
}

func (m *member) Assigned() int { return int(m.assigned.Load()) }

func (m *member) Poll(ctx context.Context) ([]cells.Record, error) {
	var all []cells.Record
	enough := time.After(100 * time.Millisecond)
	for {
		select {
		case message := <-m.messages:
			m.next[message.Partition] = message.Offset + 1
			all = append(all, incoming(message))
		case err := <-m.failed:
			return nil, fmt.Errorf("consumer group: %w", err)
		case <-enough:
			return all, nil
		case <-ctx.Done():
			return all, nil
		}
	}
}

func (m *member) Commit(context.Context) error {
	session := *m.session.Load()
	for p, offset := range m.next {
		session.MarkOffset(m.topic, p, offset, "")
	}
	session.Commit()
	return nil
}

func (m *member) Close() {
	m.stop()
	if err := m.group.Close(); err != nil {
		sarama.Logger.Println("close of a consumer group:", err)
	}
	m.running.Wait()
}

// A transformer whose attempt was aborted joins the group anew: sarama does not go back to the committed offsets itself.
type transformer struct {
	library  library
	producer producer
	member   *member
	group    string
	from, to string
}

func (l library) Transformer(_ context.Context, transactionalID, group, from, to string) (cells.Transformer, error) {
	p, err := l.producer(transactionalID)
	if err != nil {
		return nil, err
	}
	m, err := l.member(group, from)
	return &transformer{l, p, m, group, from, to}, err
}

func (t *transformer) Attempt(ctx context.Context, commit bool, f func(cells.Record) cells.Record) ([]cells.Record, error) {
	consumed, err := t.member.Poll(ctx)
	if err != nil || len(consumed) == 0 {
		return nil, err
	}
	if err := t.producer.BeginTxn(); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	var out []cells.Record
	for _, r := range consumed {
		out = append(out, f(r))
	}
	if err := t.producer.Send(ctx, t.to, out); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	var offsets []*sarama.PartitionOffsetMetadata
	for p, offset := range t.member.next {
		offsets = append(offsets, &sarama.PartitionOffsetMetadata{Partition: p, Offset: offset})
	}
	// sarama keeps the offsets until the commit: an abort never sends them.
	if err := t.producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{t.from: offsets}, t.group); err != nil {
		return nil, fmt.Errorf("send offsets: %w", err)
	}
	if commit {
		return consumed, t.producer.CommitTxn()
	}
	if err := t.producer.AbortTxn(); err != nil {
		return nil, fmt.Errorf("abort: %w", err)
	}
	t.member.Close()
	t.member, err = t.library.member(t.group, t.from)
	return consumed, err
}

func (t *transformer) Close() {
	t.producer.Close()
	t.member.Close()
}
