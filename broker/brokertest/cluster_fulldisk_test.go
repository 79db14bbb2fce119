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
	"github.com/oncelog/oncelog/log/vfs"
)

// Promise 26 on three nodes: while one has a full disk the others serve, whatever
// it led; with room again it comes back by itself, and nothing that was
// acknowledged is lost.
func TestFullDiskOnOneOfThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		client := clusterClient(t, c, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		admin := kadm.NewClient(client)
		if _, err := admin.CreateTopic(t.Context(), 6, -1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		sent := 0
		send := func() {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for p := range int32(6) {
				if err := client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Partition: p, Value: fmt.Append(nil, sent)}).FirstErr(); err != nil {
					t.Fatalf("partition %d, record %d: %v", p, sent, err)
				}
			}
			sent++
		}
		inSync := func(want int) {
			t.Helper()
			for range 120 {
				meta, err := admin.Metadata(t.Context(), "orders")
				if err != nil {
					t.Fatal(err)
				}
				as := 0
				for _, p := range meta.Topics["orders"].Partitions {
					if len(p.ISR) == want {
						as++
					}
				}
				if as == 6 {
					return
				}
				time.Sleep(500 * time.Millisecond)
			}
			t.Fatalf("after a minute not every partition has %d replicas in sync", want)
		}
		send()
		for node := int32(1); node <= 3; node++ {
			c.Faults(node).SetRules(vfs.Rule{Op: vfs.OpWrite, Error: vfs.ENOSPC, Short: 20}, vfs.Rule{Op: vfs.OpPreallocate, Error: vfs.ENOSPC})
			for range 5 {
				send()
				time.Sleep(time.Second)
			}
			c.Faults(node).SetRules()
			inSync(3)
			send()
		}
		consumer := clusterClient(t, c, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		next := map[int32]int{}
		for got := 0; got < 6*sent; {
			fetches := consumer.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if want := fmt.Sprint(next[r.Partition]); string(r.Value) != want {
					t.Errorf("partition %d offset %d: %q, want %q", r.Partition, r.Offset, r.Value, want)
				}
				next[r.Partition]++
				got++
			})
		}
	})
}
