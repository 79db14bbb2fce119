package brokertest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/broker/brokertest"
)

func clusterClient(t *testing.T, c *brokertest.Cluster, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.Addresses()...), kgo.Dialer(c.Network.Dial), kgo.MetadataMinAge(10 * time.Millisecond),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// Three brokers: a transaction over partitions that different nodes lead is
// whole, whoever coordinates it, and stays so when one broker after the other
// is killed.
func TestTransactionsOnThreeBrokers(t *testing.T) {
	transactWhile(t, func(*brokertest.Cluster, int32) {})
}

// Three brokers whose disks are emptied one after the other: each is given
// everything again by the others, the metadata and the coordinators' logs too.
func TestEveryDiskEmptiedInTurn(t *testing.T) {
	transactWhile(t, func(c *brokertest.Cluster, node int32) { c.Wipe(node) })
}

// transactWhile kills one broker after the other, and does something to it
// before it starts again, between transactions that must all be whole.
func transactWhile(t *testing.T, meanwhile func(*brokertest.Cluster, int32)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		admin := kadm.NewClient(clusterClient(t, c))
		if _, err := admin.CreateTopic(t.Context(), 6, -1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // every node has heard of every leader
		meta, err := admin.Metadata(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		leaders := map[int32]bool{}
		for _, p := range meta.Topics["orders"].Partitions {
			leaders[p.Leader] = true
			if len(p.Replicas) != 3 || len(p.ISR) == 0 {
				t.Errorf("partition %d: replicas %v, in sync %v, want 3", p.Partition, p.Replicas, p.ISR)
			}
		}
		if len(leaders) < 2 {
			t.Errorf("partitions are led by %v, want several nodes", leaders)
		}
		producer := clusterClient(t, c, kgo.TransactionalID("payments"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		sent := 0
		transact := func(end kgo.TransactionEndTry) {
			t.Helper()
			if err := producer.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for p := range int32(6) {
				value := fmt.Appendf(nil, "%d %v", sent, end)
				if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: p, Value: value}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			if err := producer.EndTransaction(t.Context(), end); err != nil {
				t.Fatal(err)
			}
			if end {
				sent++
			}
		}
		for node := int32(1); node <= 3; node++ {
			transact(kgo.TryCommit)
			transact(kgo.TryAbort)
			if err := c.Kill(node); err != nil {
				t.Fatal(err)
			}
			transact(kgo.TryCommit)
			meanwhile(c, node)
			if err := c.Start(t.Context(), node); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		consumer := clusterClient(t, c, kgo.ConsumeTopics("orders"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		got := 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		next := map[int32]int{}
		for got < 6*sent {
			fetches := consumer.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if want := fmt.Sprintf("%d %v", next[r.Partition], kgo.TryCommit); string(r.Value) != want {
					t.Errorf("partition %d offset %d: %q, want %q", r.Partition, r.Offset, r.Value, want)
				}
				next[r.Partition]++
				got++
			})
		}
	})
}
