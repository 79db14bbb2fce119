package brokertest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// A coordinator has lost its majority: what it has stored can neither be committed
// nor fail. A broker that is killed does not wait for that, nor for the client.
func TestAKilledCoordinatorWaitsForNoMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		client := clusterClient(t, c, kgo.RequestRetries(0))
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorType, find.CoordinatorKeys = 1, []string{"payments"}
		init := kmsg.NewPtrInitProducerIDRequest()
		init.TransactionalID, init.TransactionTimeoutMillis = kmsg.StringPtr("payments"), 60_000
		if _, err := client.Request(t.Context(), init); err != nil { // the coordinator is there
			t.Fatal(err)
		}
		found, err := client.Request(t.Context(), find)
		if err != nil {
			t.Fatal(err)
		}
		node := found.(*kmsg.FindCoordinatorResponse).Coordinators[0].NodeID
		cutOff(c, node)
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if resp, err := client.Broker(int(node)).Request(t.Context(), init); err == nil && resp.(*kmsg.InitProducerIDResponse).ErrorCode == 0 {
				t.Error("a producer id without a majority")
			}
		}()
		time.Sleep(500 * time.Millisecond)
		select {
		case <-answered:
			t.Fatal("answered before the end of the broker: nothing is under way")
		default:
		}
		began := time.Now()
		if err := c.Kill(node); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the broker ended after %v", took)
		}
		<-answered
	})
}
