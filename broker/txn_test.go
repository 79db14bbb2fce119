package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// client connects a client that is closed with the test.
func client(t *testing.T, s *brokertest.Server, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append([]kgo.Opt{kgo.SeedBrokers(s.Address()), kgo.Dialer(s.Dial), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)
	c, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// send writes values to partition 0 of orders.
func send(t *testing.T, c *kgo.Client, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// end ends the client's transaction after values were written in it.
func end(t *testing.T, c *kgo.Client, how kgo.TransactionEndTry, values ...string) {
	t.Helper()
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	send(t, c, values...)
	if err := c.EndTransaction(t.Context(), how); err != nil {
		t.Fatal(err)
	}
}

// read returns what there is to read at an isolation level: as many values as
// wanted, and what comes with them.
func read(t *testing.T, s *brokertest.Server, level kgo.IsolationLevel, want int) string {
	t.Helper()
	c := client(t, s, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(level), kgo.FetchMaxWait(100*time.Millisecond))
	var got []string
	for len(got) < want {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		f := c.PollFetches(ctx)
		cancel()
		if err := f.Err(); err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		f.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return fmt.Sprint(got)
}

func start(t *testing.T, o brokertest.Options) *brokertest.Server {
	t.Helper()
	s := brokertest.Start(t, o)
	for topic, partitions := range map[string]int32{"orders": 2, "bills": 1} {
		if err := s.EnsureTopic(t.Context(), topic, partitions); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Both protocols of transactions, and a restart between: read_committed shows
// what was committed, whatever wrote it.
func TestTransactionsThroughAClient(t *testing.T) {
	for _, level := range []int16{0, 1, 2} {
		t.Run(fmt.Sprintf("transaction.version %d", level), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, brokertest.Options{Features: map[string]int16{"transaction.version": level}})
				c := client(t, s, kgo.TransactionalID("shop"))
				end(t, c, kgo.TryCommit, "a", "b")
				end(t, c, kgo.TryAbort, "lost")
				end(t, c, kgo.TryCommit, "c")
				if got := read(t, s, kgo.ReadCommitted(), 3); got != "[a b c]" {
					t.Errorf("committed %s", got)
				}
				if got := read(t, s, kgo.ReadUncommitted(), 4); got != "[a b lost c]" {
					t.Errorf("uncommitted %s", got)
				}
				if err := s.Stop(); err != nil {
					t.Fatal(err)
				}
				s = brokertest.Start(t, brokertest.Options{FS: s.FS, Network: s.Network})
				end(t, c, kgo.TryCommit, "d")
				if got := read(t, s, kgo.ReadCommitted(), 4); got != "[a b c d]" {
					t.Errorf("committed, after a restart, %s", got)
				}
			})
		})
	}
}

// A transaction left alone is aborted at its timeout: 60 virtual seconds.
func TestTransactionTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, brokertest.Options{})
		c := client(t, s, kgo.TransactionalID("shop"), kgo.TransactionTimeout(time.Minute))
		end(t, c, kgo.TryCommit, "a")
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		send(t, c, "lost")
		began := time.Now()
		other := client(t, s)
		for stableOffset(t, other) != endOffset(t, other) {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took < 59*time.Second || took > 61*time.Second {
			t.Errorf("hung for %v, want 60 s and at most one more (promise 14)", took)
		}
		if err := c.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
			t.Error("the late commit succeeded")
		}
		if got := read(t, s, kgo.ReadCommitted(), 1); got != "[a]" {
			t.Errorf("committed %s", got)
		}
	})
}

func stableOffset(t *testing.T, c *kgo.Client) int64 { return latest(t, c, 1) }
func endOffset(t *testing.T, c *kgo.Client) int64    { return latest(t, c, 0) }

func latest(t *testing.T, c *kgo.Client, isolation int8) int64 {
	t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.IsolationLevel = isolation
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = "orders"
	partition := kmsg.NewListOffsetsRequestTopicPartition()
	partition.Timestamp = -1
	topic.Partitions = append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
	return resp.Topics[0].Partitions[0].Offset
}

// A transactional id that nobody used for 7 virtual days is forgotten.
func TestTransactionalIDExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, brokertest.Options{})
		c := client(t, s, kgo.TransactionalID("shop"))
		end(t, c, kgo.TryCommit, "a")
		c.Close()
		synctest.Wait() // for the markers
		if got := describe(t, s, "shop"); got != "CompleteCommit" {
			t.Errorf("state %s", got)
		}
		time.Sleep(7*24*time.Hour + time.Hour + time.Minute)
		if got := describe(t, s, "shop"); got != kerr.TransactionalIDNotFound.Message {
			t.Errorf("state %s", got)
		}
	})
}

func describe(t *testing.T, s *brokertest.Server, id string) string {
	t.Helper()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{id}
	resp, err := req.RequestWith(t.Context(), client(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.TransactionStates[0].ErrorCode); err != nil {
		var code *kerr.Error
		errors.As(err, &code)
		return code.Message
	}
	return resp.TransactionStates[0].State
}

// Consume, transform, produce: the offsets of the group and the records it led to
// are committed together, or neither.
func TestOffsetsInTransactions(t *testing.T) {
	for _, level := range []int16{0, 2} {
		t.Run(fmt.Sprintf("transaction.version %d", level), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, brokertest.Options{Features: map[string]int16{"transaction.version": level}})
				send(t, client(t, s), "a", "b", "c")
				pipe(t, s, kgo.TryAbort)
				pipe(t, s, kgo.TryCommit)
				send(t, client(t, s), "d")
				pipe(t, s, kgo.TryCommit)
				c := client(t, s, kgo.ConsumeTopics("bills"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
				var got []string
				for len(got) < 4 {
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					f := c.PollFetches(ctx)
					cancel()
					if err := f.Err(); err != nil {
						t.Fatalf("after %q: %v", got, err)
					}
					f.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
				}
				if fmt.Sprint(got) != "[bill a bill b bill c bill d]" {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}

// pipe turns the orders that the group has not had into bills, in one transaction.
func pipe(t *testing.T, s *brokertest.Server, how kgo.TransactionEndTry) {
	t.Helper()
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(s.Address()), kgo.Dialer(s.Dial), kgo.TransactionalID("pipe"),
		kgo.ConsumerGroup("pipe"), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f := session.PollFetches(ctx)
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	if err := session.Begin(); err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Records() {
		if err := session.ProduceSync(ctx, &kgo.Record{Topic: "bills", Value: append([]byte("bill "), r.Value...)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if committed, err := session.End(ctx, how); err != nil || committed != bool(how) {
		t.Fatalf("committed %v, %v", committed, err)
	}
}

// hard-07: the next transaction's first request comes while the marker of the one
// before is on its way to the same partition. It waits for it, and is not refused
// because the marker destroyed the guard it was made with.
func TestNextTransactionMeetsTheMarkerOfTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, brokertest.Options{})
		c := client(t, s)
		ask := func(req kmsg.Request) kmsg.Response {
			t.Helper()
			resp, err := c.Request(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		id := "pipe"
		coordinator := kmsg.NewPtrFindCoordinatorRequest()
		coordinator.CoordinatorKey, coordinator.CoordinatorType = id, 1
		ask(coordinator)
		initial := kmsg.NewPtrInitProducerIDRequest()
		initial.TransactionalID, initial.TransactionTimeoutMillis = &id, 60_000
		producer := ask(initial).(*kmsg.InitProducerIDResponse)
		if err := kerr.ErrorForCode(producer.ErrorCode); err != nil {
			t.Fatal(err)
		}
		epoch := producer.ProducerEpoch
		for n := range 200 {
			offsets := kmsg.NewPtrTxnOffsetCommitRequest()
			offsets.TransactionalID, offsets.Group, offsets.ProducerID, offsets.ProducerEpoch = id, "pipe", producer.ProducerID, epoch
			topic := kmsg.NewTxnOffsetCommitRequestTopic()
			topic.Topic = "orders"
			partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			partition.Offset = int64(n)
			topic.Partitions = append(topic.Partitions, partition)
			offsets.Topics = append(offsets.Topics, topic)
			committed := ask(offsets).(*kmsg.TxnOffsetCommitResponse)
			if err := kerr.ErrorForCode(committed.Topics[0].Partitions[0].ErrorCode); err != nil {
				t.Fatalf("transaction %d: TxnOffsetCommit v%d: %v", n, offsets.Version, err)
			}
			last := kmsg.NewPtrEndTxnRequest()
			last.TransactionalID, last.ProducerID, last.ProducerEpoch, last.Commit = id, producer.ProducerID, epoch, true
			ended := ask(last).(*kmsg.EndTxnResponse)
			if err := kerr.ErrorForCode(ended.ErrorCode); err != nil {
				t.Fatalf("transaction %d: EndTxn v%d: %v", n, last.Version, err)
			}
			epoch = ended.ProducerEpoch
		}
	})
}
