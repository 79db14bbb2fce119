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

// A test starts a broker, and its client reaches it by the broker's own network.
func Example() {
	test := func(t *testing.T) {
		s := brokertest.Start(t, brokertest.Options{})
		client, err := kgo.NewClient(kgo.SeedBrokers(s.Address()), kgo.Dialer(s.Dial), kgo.AllowAutoTopicCreation(),
			kgo.ConsumeTopics("orders"), kgo.DefaultProduceTopic("orders"))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.ProduceSync(t.Context(), kgo.StringRecord("one order")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		for _, r := range client.PollFetches(t.Context()).Records() {
			fmt.Printf("%s-%d@%d: %s\n", r.Topic, r.Partition, r.Offset, r.Value)
		}
	}
	run(test)
	// Output: orders-0@0: one order
}

// In a synctest bubble time is virtual: a transaction left alone for its
// time-out of a minute is aborted at once.
func Example_bubble() {
	test := func(t *testing.T) {
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
			fmt.Println("committed:", client.EndTransaction(t.Context(), kgo.TryCommit) == nil)
		})
	}
	run(test)
	// Output: committed: false
}

// run stands in for `go test`, which examples have no testing.T of.
func run(test func(*testing.T)) {
	testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "example", F: test}})
	_ = context.Background
}
