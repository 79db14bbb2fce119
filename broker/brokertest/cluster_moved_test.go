package brokertest_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
	"github.com/oncelog/oncelog/protocol/record"
)

// Whoever produces to or fetches from a node that does not lead is told who does and
// where that is, whether the node has a replica or not (KIP-951).
func TestLeadersAreNamedWithTheirAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 4, brokertest.Options{})
		if _, err := kadm.NewClient(clusterClient(t, c)).CreateTopic(t.Context(), 3, 3, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		for node := int32(1); node <= 4; node++ {
			meta := metadataOf(t, c, node)
			topic := meta.Topics["orders"]
			client := clusterClient(t, c, kgo.SeedBrokers(c.Addresses()[node-1]), kgo.RequestRetries(0))
			produce, fetch := moveRequests(topic)
			var named []int32
			var want []string
			for _, p := range topic.Partitions.Sorted() {
				if p.Leader != node && !slices.Contains(named, p.Leader) {
					named = append(named, p.Leader)
					want = append(want, fmt.Sprintf("%d at 127.0.0.1:%d", p.Leader, 9089+p.Leader))
				}
			}
			resp, err := client.SeedBrokers()[0].Request(t.Context(), produce)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			produced := resp.(*kmsg.ProduceResponse)
			for _, b := range produced.Brokers {
				got = append(got, fmt.Sprintf("%d at %s:%d", b.NodeID, b.Host, b.Port))
			}
			if !slices.Equal(got, want) {
				t.Errorf("produce to node %d names %v, want %v", node, got, want)
			}
			for _, p := range produced.Topics[0].Partitions {
				checkNamed(t, "produce", node, topic.Partitions[p.Partition], p.ErrorCode, p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch)
			}
			if resp, err = client.SeedBrokers()[0].Request(t.Context(), fetch); err != nil {
				t.Fatal(err)
			}
			got = nil
			fetched := resp.(*kmsg.FetchResponse)
			for _, b := range fetched.Brokers {
				got = append(got, fmt.Sprintf("%d at %s:%d", b.NodeID, b.Host, b.Port))
			}
			if !slices.Equal(got, want) {
				t.Errorf("fetch from node %d names %v, want %v", node, got, want)
			}
			for _, p := range fetched.Topics[0].Partitions {
				checkNamed(t, "fetch", node, topic.Partitions[p.Partition], p.ErrorCode, p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch)
			}
		}
	})
}

// moveRequests are a produce to and a fetch of all partitions of a topic.
func moveRequests(topic kadm.TopicDetail) (*kmsg.ProduceRequest, *kmsg.FetchRequest) {
	builder := record.NewBuilder(record.BuilderOptions{ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1})
	builder.Append(record.Record{Timestamp: time.Now().UnixMilli(), Value: []byte("a")})
	batch := builder.Build()
	produce, fetch := kmsg.NewPtrProduceRequest(), kmsg.NewPtrFetchRequest()
	produce.Acks, produce.TimeoutMillis = 1, 1000
	fetch.MaxBytes = 1 << 20
	to, from := kmsg.NewProduceRequestTopic(), kmsg.NewFetchRequestTopic()
	to.Topic, to.TopicID, from.Topic, from.TopicID = topic.Topic, topic.ID, topic.Topic, topic.ID
	for _, p := range topic.Partitions.Sorted() {
		one, other := kmsg.NewProduceRequestTopicPartition(), kmsg.NewFetchRequestTopicPartition()
		one.Partition, other.Partition = p.Partition, p.Partition
		one.Records = batch
		other.PartitionMaxBytes = 1 << 20
		to.Partitions, from.Partitions = append(to.Partitions, one), append(from.Partitions, other)
	}
	produce.Topics, fetch.Topics = append(produce.Topics, to), append(fetch.Topics, from)
	return produce, fetch
}

func checkNamed(t *testing.T, what string, node int32, p kadm.PartitionDetail, code int16, leader, epoch int32) {
	t.Helper()
	wantCode, wantLeader, wantEpoch := kerr.NotLeaderForPartition.Code, p.Leader, p.LeaderEpoch
	if p.Leader == node {
		wantCode, wantLeader, wantEpoch = 0, -1, -1
	}
	if code != wantCode || leader != wantLeader || epoch != wantEpoch {
		t.Errorf("%s, node %d, partition %d: code %d, leader %d in epoch %d, want code %d, leader %d in epoch %d",
			what, node, p.Partition, code, leader, epoch, wantCode, wantLeader, wantEpoch)
	}
}
