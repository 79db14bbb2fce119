package brokertest_test

import (
	"context"
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

// Two of three brokers die. What the third leads it goes on leading to its
// clients: metadata names it, what is committed is read, and a produce is refused
// with NOT_ENOUGH_REPLICAS, as by a Kafka leader that is alone in its ISR; before
// raft's lease ends and after. When one comes back it takes records again (hard-26).
func TestTheLastBrokerServesWhatIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		if _, err := kadm.NewClient(clusterClient(t, c)).CreateTopic(t.Context(), 1, -1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		producer := clusterClient(t, c, kgo.DefaultProduceTopic("orders"))
		if err := producer.ProduceSync(t.Context(), kgo.StringRecord("before")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // all know that it is committed
		was := metadataOf(t, c, 1).Topics["orders"].Partitions[0]
		last := was.Leader
		for _, node := range []int32{1, 2, 3} {
			if node != last {
				if err := c.Kill(node); err != nil {
					t.Fatal(err)
				}
			}
		}
		seed := kgo.SeedBrokers(c.Addresses()[last-1])
		for _, after := range []time.Duration{2 * time.Second, 20 * time.Second, 5 * time.Minute} {
			time.Sleep(after)
			for name, acks := range map[string]kgo.Acks{"all": kgo.AllISRAcks(), "1": kgo.LeaderAck()} {
				once := clusterClient(t, c, seed, kgo.DefaultProduceTopic("orders"), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(acks), kgo.RecordRetries(0))
				if err := once.ProduceSync(t.Context(), kgo.StringRecord("refused")).FirstErr(); !errors.Is(err, kerr.NotEnoughReplicas) {
					t.Errorf("acks=%s: %v, want NOT_ENOUGH_REPLICAS", name, err)
				}
			}
			reader := clusterClient(t, c, seed, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			soon, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			fetched := reader.PollFetches(soon)
			if records := fetched.Records(); fetched.Err() != nil || len(records) != 1 || string(records[0].Value) != "before" {
				t.Errorf("a reader gets %d records, %v, want the one", len(fetched.Records()), fetched.Err())
			}
			admin := kadm.NewClient(reader)
			ends, err := admin.ListEndOffsets(soon, "orders")
			if end, _ := ends.Lookup("orders", 0); err != nil || end.Err != nil || end.Offset != 1 {
				t.Errorf("the end is %d, %v, %v, want 1", end.Offset, end.Err, err)
			}
			meta, err := admin.Metadata(soon, "orders")
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if now := meta.Topics["orders"].Partitions[0]; now.Leader != last || now.LeaderEpoch != was.LeaderEpoch || now.Err != nil {
				t.Errorf("metadata names %d in epoch %d (%v), want %d in epoch %d", now.Leader, now.LeaderEpoch, now.Err, last, was.LeaderEpoch)
			}
			beyond := fetchAt(t, reader, meta.Topics["orders"].ID, 7)
			if beyond.ErrorCode != kerr.NotLeaderForPartition.Code {
				t.Errorf("offset 7 is told error %d, want NOT_LEADER_OR_FOLLOWER: another may lead and have it (hard-27)", beyond.ErrorCode)
			}
		}
		if err := c.Start(t.Context(), last%3+1); err != nil {
			t.Fatal(err)
		}
		r, err := producer.ProduceSync(t.Context(), kgo.StringRecord("after")).First()
		if err != nil || r.Offset != 1 {
			t.Errorf("with a majority again: offset %d, %v, want 1", r.Offset, err)
		}
	})
}

// fetchAt asks the seed broker for records of partition 0 of orders at an offset.
func fetchAt(t *testing.T, client *kgo.Client, id kadm.TopicID, offset int64) kmsg.FetchResponseTopicPartition {
	t.Helper()
	fetch := kmsg.NewPtrFetchRequest()
	fetch.MaxWaitMillis, fetch.MaxBytes = 100, 1<<20
	topic, partition := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	partition.FetchOffset, partition.PartitionMaxBytes = offset, 1<<20
	topic.Topic, topic.TopicID = "orders", id
	topic.Partitions = append(topic.Partitions, partition)
	fetch.Topics = append(fetch.Topics, topic)
	resp, err := client.SeedBrokers()[0].Request(t.Context(), fetch)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
}
