// The cells with franz-go.
package main

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/oncelog/oncelog/tools/interop/go/cells"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	cells.Main(func(bootstrap string) (cells.Library, error) {
		l := library{bootstrap: bootstrap}
		client, err := l.client()
		l.admin = kadm.NewClient(client)
		return l, err
	}, nil)
}

type library struct {
	bootstrap string
	admin     *kadm.Client
}

func (l library) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(l.with(opts)...)
}

func (l library) with(opts []kgo.Opt) []kgo.Opt {
	return append(opts, kgo.SeedBrokers(l.bootstrap), kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)))
}

func (l library) CreateTopic(ctx context.Context, topic string, partitions int32) error {
	if _, err := l.admin.CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		return err
	}
	for {
		listed, err := l.admin.ListTopics(ctx, topic)
		if err != nil || listed.Error() == nil {
			return err
		}
	}
}

func (l library) HighWatermarks(ctx context.Context, topic string) (map[int32]int64, error) {
	listed, err := l.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	all := map[int32]int64{}
	for p, o := range listed[topic] {
		all[p] = o.Offset
	}
	return all, listed.Error()
}

func (l library) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	fetched, err := l.admin.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	all := map[int32]int64{}
	for p, o := range fetched[topic] {
		all[p] = o.At
	}
	return all, fetched.Error()
}

func (l library) Read(ctx context.Context, topic string, partitions int32, committedOnly bool, isLast func(cells.Record) bool) ([]cells.Record, error) {
	from := map[int32]kgo.Offset{}
	for p := range partitions {
		from[p] = kgo.NewOffset().AtStart()
	}
	isolation := kgo.ReadUncommitted()
	if committedOnly {
		isolation = kgo.ReadCommitted()
	}
	client, err := l.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchIsolationLevel(isolation))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var all []cells.Record
	for missing := partitions; missing > 0; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for _, r := range records(fetches) {
			all = append(all, r)
			if isLast(r) {
				missing--
			}
		}
	}
	return all, nil
}

func records(fetches kgo.Fetches) []cells.Record {
	var all []cells.Record
	fetches.EachRecord(func(r *kgo.Record) {
		var headers []cells.Header
		for _, h := range r.Headers {
			headers = append(headers, cells.Header{Key: h.Key, Value: h.Value})
		}
		all = append(all, cells.Record{Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Headers: headers})
	})
	return all
}

type producer struct{ client *kgo.Client }

func (l library) Producer(_ context.Context, transactionalID string) (cells.Producer, error) {
	opts := []kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if transactionalID != "" {
		opts = append(opts, kgo.TransactionalID(transactionalID))
	}
	client, err := l.client(opts...)
	return producer{client}, err
}

func (p producer) Send(ctx context.Context, topic string, all []cells.Record) error {
	var out []*kgo.Record
	for _, r := range all {
		out = append(out, outgoing(topic, r))
	}
	return p.client.ProduceSync(ctx, out...).FirstErr()
}

func outgoing(topic string, r cells.Record) *kgo.Record {
	out := &kgo.Record{Topic: topic, Partition: r.Partition, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return out
}

func (p producer) Begin(context.Context) error { return p.client.BeginTransaction() }
func (p producer) Commit(ctx context.Context) error {
	return p.client.EndTransaction(ctx, kgo.TryCommit)
}
func (p producer) Abort(ctx context.Context) error { return p.client.EndTransaction(ctx, kgo.TryAbort) }
func (p producer) Close()                          { p.client.Close() }

type member struct {
	client   *kgo.Client
	assigned atomic.Int32
}

func (l library) Member(_ context.Context, group, topic string) (cells.Member, error) {
	m := &member{}
	count := func(sign int32) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, moved map[string][]int32) {
			m.assigned.Add(sign * int32(len(moved[topic])))
		}
	}
	var err error
	m.client, err = l.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(count(1)), kgo.OnPartitionsRevoked(count(-1)), kgo.OnPartitionsLost(count(-1)))
	return m, err
}

func (m *member) Assigned() int                    { return int(m.assigned.Load()) }
func (m *member) Commit(ctx context.Context) error { return m.client.CommitUncommittedOffsets(ctx) }
func (m *member) Close()                           { m.client.Close() }

func (m *member) Poll(ctx context.Context) ([]cells.Record, error) {
	return poll(ctx, m.client.PollFetches)
}

// poll bounds one poll; a poll that ends empty is no error.
func poll(ctx context.Context, fetch func(context.Context) kgo.Fetches) ([]cells.Record, error) {
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	fetches := fetch(short)
	if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	return records(fetches), nil
}

type transformer struct {
	session *kgo.GroupTransactSession
	to      string
}

func (l library) Transformer(_ context.Context, transactionalID, group, from, to string) (cells.Transformer, error) {
	session, err := kgo.NewGroupTransactSession(l.with([]kgo.Opt{
		kgo.TransactionalID(transactionalID), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	})...)
	return transformer{session, to}, err
}

func (t transformer) Attempt(ctx context.Context, commit bool, f func(cells.Record) cells.Record) ([]cells.Record, error) {
	consumed, err := poll(ctx, t.session.PollFetches)
	if err != nil || len(consumed) == 0 {
		return nil, err
	}
	if err := t.session.Begin(); err != nil {
		return nil, err
	}
	var out []*kgo.Record
	for _, r := range consumed {
		out = append(out, outgoing(t.to, f(r)))
	}
	if err := t.session.ProduceSync(ctx, out...).FirstErr(); err != nil {
		return nil, err
	}
	committed, err := t.session.End(ctx, kgo.TransactionEndTry(commit))
	if err != nil {
		return nil, err
	}
	if committed != commit {
		return nil, nil // a rebalance came between; the session has gone back to what is committed
	}
	return consumed, nil
}

func (t transformer) Close() { t.session.Close() }
