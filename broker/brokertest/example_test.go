package brokertest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// A broker without ports or files; the client reaches it by the broker's own
// network.
func Example() {
	ctx := context.Background()
	s, err := brokertest.Open(ctx, brokertest.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Address()), kgo.Dialer(s.Dial), kgo.AllowAutoTopicCreation(),
		kgo.ConsumeTopics("orders"), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.ProduceSync(ctx, kgo.StringRecord("one order")).FirstErr(); err != nil {
		fmt.Println(err)
	}
	for _, r := range client.PollFetches(ctx).Records() {
		fmt.Printf("%s-%d@%d: %s\n", r.Topic, r.Partition, r.Offset, r.Value)
	}
	client.Close()
	if err := s.Stop(); err != nil {
		fmt.Println(err)
	}
	// Output: orders-0@0: one order
}

// In a synctest bubble time is virtual: the time-out of a transaction passes in
// an instant. Broker and client are started in the bubble.
func ExampleStart() {
	_ = func(t *testing.T) { // in a test file: func TestTimeout(t *testing.T)
		synctest.Test(t, func(t *testing.T) {
			s := brokertest.Start(t, brokertest.Options{})
			client, err := kgo.NewClient(kgo.SeedBrokers(s.Address()), kgo.Dialer(s.Dial), kgo.AllowAutoTopicCreation(),
				kgo.DefaultProduceTopic("orders"), kgo.TransactionalID("shop"), kgo.TransactionTimeout(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := client.ProduceSync(t.Context(), kgo.StringRecord("half an order")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(61 * time.Second)
			if err := client.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
				t.Error("a transaction was committed after its time-out")
			}
		})
	}
}
