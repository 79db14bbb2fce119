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

// A leader that is cut off from the others, and has not noticed that another
// leads, tells no reader that its offset is out of range or its log another: it
// is the leader that knows too little. A consumer would start over, or take it
// for lost data (hard-27, KIP-320).
func TestStaleLeaderCallsNoOffsetOutOfRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		admin := kadm.NewClient(clusterClient(t, c))
		if _, err := admin.CreateTopic(t.Context(), 1, -1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		producer := clusterClient(t, c, kgo.DefaultProduceTopic("orders"))
		send := func(value string) *kgo.Record {
			t.Helper()
			r, err := producer.ProduceSync(t.Context(), kgo.StringRecord(value)).First()
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		send("before")
		meta := metadataOf(t, c, 1).Topics["orders"]
		stale := meta.Partitions[0].Leader
		cutOff(c, stale)
		time.Sleep(2 * time.Second)
		send("of the next leader")
		newest := send("and one more")

		client := clusterClient(t, c, kgo.SeedBrokers(c.Addresses()[stale-1]))
		fetch := kmsg.NewPtrFetchRequest()
		fetch.MaxWaitMillis, fetch.MaxBytes = 100, 1<<20
		topic, partition := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
		partition.FetchOffset, partition.PartitionMaxBytes = newest.Offset, 1<<20
		topic.Topic, topic.TopicID = "orders", meta.ID
		topic.Partitions = append(topic.Partitions, partition)
		fetch.Topics = append(fetch.Topics, topic)
		for _, epoch := range []int32{-1, meta.Partitions[0].LeaderEpoch + 1} {
			fetch.Topics[0].Partitions[0].LastFetchedEpoch = epoch
			resp, err := client.SeedBrokers()[0].Request(t.Context(), fetch)
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]; got.ErrorCode != kerr.NotLeaderForPartition.Code || got.DivergingEpoch.EndOffset >= 0 {
				t.Errorf("last fetched epoch %d: error code %d, diverging at %d, want NOT_LEADER_OR_FOLLOWER", epoch, got.ErrorCode, got.DivergingEpoch.EndOffset)
			}
		}
		fetch.Topics[0].Partitions[0].LastFetchedEpoch, fetch.Topics[0].Partitions[0].FetchOffset = -1, 0
		resp, err := client.SeedBrokers()[0].Request(t.Context(), fetch)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]; got.ErrorCode != 0 || len(got.RecordBatches) == 0 {
			t.Errorf("what is committed: error code %d, %d bytes, want the record (hard-26)", got.ErrorCode, len(got.RecordBatches))
		}

		ends := kmsg.NewPtrOffsetForLeaderEpochRequest()
		asked, epochs := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		asked.Topic, epochs.LeaderEpoch = "orders", meta.Partitions[0].LeaderEpoch
		asked.Partitions = append(asked.Partitions, epochs)
		ends.Topics = append(ends.Topics, asked)
		resp, err = client.SeedBrokers()[0].Request(t.Context(), ends)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]; got.ErrorCode != kerr.NotLeaderForPartition.Code {
			t.Errorf("end of an epoch: error code %d, offset %d, want NOT_LEADER_OR_FOLLOWER", got.ErrorCode, got.EndOffset)
		}
	})
}

// A broker that is cut off from the controller gives the producer ids it has, and
// then has its clients ask again soon, at another broker.
func TestABrokerThatIsCutOffGivesProducerIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		client := clusterClient(t, c, kgo.SeedBrokers(c.Addresses()[0]), kgo.RequestRetries(0))
		ask := func() (int64, error) {
			resp, err := client.SeedBrokers()[0].Request(t.Context(), kmsg.NewPtrInitProducerIDRequest())
			if err != nil {
				t.Fatal(err)
			}
			answer := resp.(*kmsg.InitProducerIDResponse)
			return answer.ProducerID, kerr.ErrorForCode(answer.ErrorCode)
		}
		given := map[int64]bool{}
		draw := func(n int) {
			t.Helper()
			for range n {
				id, err := ask()
				if err != nil || given[id] {
					t.Fatalf("id %d after %d others: %v, given before: %v", id, len(given), err, given[id])
				}
				given[id] = true
			}
		}
		draw(900)
		time.Sleep(time.Second)
		cutOff(c, 1)
		time.Sleep(10 * time.Second)
		draw(1100)
		began := time.Now()
		if id, err := ask(); !errors.Is(err, kerr.CoordinatorLoadInProgress) {
			t.Errorf("beyond two blocks: id %d, %v, want COORDINATOR_LOAD_IN_PROGRESS", id, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the answer took %v, want half a second", took)
		}
	})
}

// cutOff parts a node from the others; clients reach it.
func cutOff(c *brokertest.Cluster, node int32) {
	for other := range int32(len(c.Servers)) {
		if other+1 != node {
			c.Network.Cut(brokertest.HostName(node), brokertest.HostName(other+1))
			c.Network.Cut(brokertest.HostName(other+1), brokertest.HostName(node))
		}
	}
}
