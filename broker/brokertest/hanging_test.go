package brokertest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// A client may end a transaction that hangs on a partition by aborting it, never
// by committing it (KIP-664).
func TestAHangingTransactionIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		client := clusterClient(t, c)
		admin := kadm.NewClient(client)
		if _, err := admin.CreateTopic(t.Context(), 1, -1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		producer := clusterClient(t, c, kgo.TransactionalID("hangs"))
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("a")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		described, err := admin.DescribeProducers(t.Context(), kadm.TopicsSet{"orders": {0: {}}})
		if err != nil {
			t.Fatal(err)
		}
		open := described["orders"].Partitions[0].ActiveProducers.Sorted()[0]
		if open.CurrentTxnStartOffset != 0 {
			t.Fatalf("producer %+v, want a transaction that is open from 0 on", open)
		}
		marker := kadm.TxnMarkers{
			ProducerID: open.ProducerID, ProducerEpoch: int16(open.ProducerEpoch), Commit: true,
			Topics: kadm.TopicsSet{"orders": {0: {}}},
		}
		stable := func() int64 {
			t.Helper()
			offsets, err := admin.ListCommittedOffsets(t.Context(), "orders")
			if err != nil {
				t.Fatal(err)
			}
			return offsets["orders"][0].Offset
		}
		for _, step := range []struct {
			commit bool
			want   error
			stable int64
		}{{true, kerr.ClusterAuthorizationFailed, 0}, {false, nil, 2}, {false, nil, 2}} {
			marker.Commit = step.commit
			answers, got := admin.WriteTxnMarkers(t.Context(), marker)
			if got == nil { // an authorization that failed is an error of the call
				got = answers[open.ProducerID].Topics["orders"].Partitions[0].Err
			}
			if !errors.Is(got, step.want) {
				t.Errorf("marker with commit %v: %v, want %v", step.commit, got, step.want)
			}
			if got := stable(); got != step.stable {
				t.Errorf("last stable offset %d after a marker with commit %v, want %d", got, step.commit, step.stable)
			}
		}
	})
}

// Each broker tells the same quorum: three voters, and who joined as an observer.
func TestEachBrokerDescribesTheQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		c.Add(t)
		time.Sleep(5 * time.Second)
		for i, address := range c.Addresses() {
			client := clusterClient(t, c, kgo.SeedBrokers(address))
			req := kmsg.NewPtrDescribeQuorumRequest()
			req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
			resp, err := client.SeedBrokers()[0].Request(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			answer := resp.(*kmsg.DescribeQuorumResponse)
			p := answer.Topics[0].Partitions[0]
			if p.ErrorCode != 0 || p.LeaderID < 1 || len(p.CurrentVoters) != 3 || len(p.Observers) != 1 || p.Observers[0].ReplicaID != 4 || len(answer.Nodes) != 3 {
				t.Fatalf("broker %d: %+v", i+1, answer)
			}
			for _, m := range append(p.CurrentVoters, p.Observers...) {
				if behind := time.Since(time.UnixMilli(m.LastCaughtUpTimestamp)); m.LogEndOffset != p.HighWatermark || behind > 2*time.Second {
					t.Errorf("broker %d: member %+v is %v behind; want it at %d", i+1, m, behind, p.HighWatermark)
				}
			}
			if l := answer.Nodes[0].Listeners; len(l) != 1 || l[0].Name != "CONTROLLER" || l[0].Host != "127.0.0.1" || l[0].Port != 9190 {
				t.Errorf("broker %d: listeners %+v of the first voter", i+1, l)
			}
		}
	})
}
