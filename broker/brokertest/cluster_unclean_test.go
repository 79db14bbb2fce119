package brokertest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// uncleanCluster is five brokers with a topic whose replicas are on the first
// three, of which the third lacks the last ten of twenty records and the first
// two are killed.
func uncleanCluster(t *testing.T, allowed string) (*brokertest.Cluster, *kgo.Client, *kadm.Client) {
	t.Helper()
	c := brokertest.StartCluster(t, 5, brokertest.Options{Properties: map[string]string{"auto.leader.rebalance.enable": "false"}})
	client := clusterClient(t, c, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("orders"))
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "orders", -1, -1
	topic.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Replicas: []int32{1, 2, 3}}}
	topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "unclean.leader.election.enable", Value: &allowed}, {Name: "min.insync.replicas", Value: kmsg.StringPtr("1")}}
	create.Topics = append(create.Topics, topic)
	if _, err := create.RequestWith(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	write(t, client, 10)
	time.Sleep(3 * time.Second)
	for _, other := range []int32{1, 2, 4, 5} {
		c.Network.Cut(brokertest.HostName(other), brokertest.HostName(3))
		c.Network.Cut(brokertest.HostName(3), brokertest.HostName(other))
	}
	time.Sleep(3 * time.Second)
	write(t, client, 10)
	for _, id := range []int32{1, 2} {
		if err := c.Kill(id); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []int32{1, 2, 4, 5} {
		c.Network.Heal(brokertest.HostName(other), brokertest.HostName(3))
		c.Network.Heal(brokertest.HostName(3), brokertest.HostName(other))
	}
	return c, client, kadm.NewClient(client)
}

func write(t *testing.T, client *kgo.Client, n int) {
	t.Helper()
	for range n {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// ending is the high watermark of orders-0, and its leader and epoch.
func ending(t *testing.T, admin *kadm.Client) (end kadm.ListedOffset, detail kadm.PartitionDetail) {
	t.Helper()
	listed, err := admin.ListEndOffsets(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := admin.Metadata(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	end, _ = listed.Lookup("orders", 0)
	return end, meta.Topics["orders"].Partitions[0]
}

// A partition that lost two of its three replicas goes on from the third one's
// log where the topic allows it, without what that lacks, in a leader epoch far
// above. The two come back, hold what the third brings them, and all take appends.
func TestUncleanRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client, admin := uncleanCluster(t, "true")
		time.Sleep(15 * time.Second)
		end, detail := ending(t, admin)
		if end.Err != nil || end.Offset != 10 || detail.Leader != 3 || detail.LeaderEpoch < 1000 {
			t.Errorf("after the recovery: end %d, %v; leader %d in epoch %d; want 10, leader 3 in an epoch above 1000", end.Offset, end.Err, detail.Leader, detail.LeaderEpoch)
		}
		write(t, client, 5)
		for _, id := range []int32{1, 2} {
			if err := c.Start(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Second)
		write(t, client, 5)
		end, detail = ending(t, admin)
		slices.Sort(detail.ISR)
		if end.Offset != 20 || !slices.Equal(detail.Replicas, []int32{1, 2, 3}) || !slices.Equal(detail.ISR, []int32{1, 2, 3}) {
			t.Errorf("after the return: end %d, replicas %v, in sync %v; want 20, all three", end.Offset, detail.Replicas, detail.ISR)
		}
		if err := c.Kill(3); err != nil { // the others have it all
			t.Fatal(err)
		}
		write(t, client, 1)
		if end, _ = ending(t, admin); end.Offset != 21 {
			t.Errorf("end %d when the survivor is gone too, want 21", end.Offset)
		}
	})
}

// Where the topic does not allow it nothing is given up, until somebody asks for
// an unclean election.
func TestUncleanElectionIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client, admin := uncleanCluster(t, "false")
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := client.ProduceSync(ctx, &kgo.Record{Value: []byte("v")}).FirstErr(); err == nil {
			t.Error("a partition without its majority took an append")
		}
		elect := func() error {
			results, err := admin.ElectLeaders(t.Context(), kadm.ElectLiveReplica, kadm.TopicsSet{"orders": {0: {}}})
			if err != nil {
				t.Fatal(err)
			}
			return results["orders"][0].Err
		}
		if err := c.Start(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		if end, _ := ending(t, admin); end.Offset < 20 {
			t.Errorf("end %d with the majority back, want all that was acked", end.Offset)
		}
		if err := elect(); !errors.Is(err, kerr.ElectionNotNeeded) {
			t.Errorf("unclean election of a partition that is led: %v, want ELECTION_NOT_NEEDED", err)
		}
		if err := c.Kill(2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if err := elect(); err != nil {
			t.Errorf("unclean election: %v", err)
		}
		write(t, client, 1)
	})
}
