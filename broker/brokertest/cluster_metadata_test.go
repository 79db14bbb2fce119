package brokertest_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/oncelog/oncelog/broker/brokertest"
)

// Metadata names the brokers that are there, and no leader that is gone.
func TestMetadataLeavesOutDeadBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		admin := kadm.NewClient(clusterClient(t, c))
		if _, err := admin.CreateTopic(t.Context(), 3, -1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		for _, all := range []bool{true, false} {
			for node := int32(1); node <= 3; node++ {
				if c.Servers[node-1] == nil {
					continue
				}
				meta := metadataOf(t, c, node)
				if want := 3; all && len(meta.Brokers) != want {
					t.Errorf("node %d names the brokers %v, want %d", node, meta.Brokers.NodeIDs(), want)
				}
				if !all && slices.Contains(meta.Brokers.NodeIDs(), 2) {
					t.Errorf("node %d names broker 2, which is gone, among %v", node, meta.Brokers.NodeIDs())
				}
				for _, p := range meta.Topics["orders"].Partitions {
					if !slices.Contains(meta.Brokers.NodeIDs(), p.Leader) {
						t.Errorf("node %d: partition %d is led by %d, want one of %v", node, p.Partition, p.Leader, meta.Brokers.NodeIDs())
					}
				}
			}
			if all {
				if err := c.Kill(2); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second)
			}
		}
	})
}

// A broker that is parted from the others still names them: a client that asks it
// finds its way to where the leaders are.
func TestAnIsolatedBrokerNamesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		for range 3 {
			if got := metadataOf(t, c, 1).Brokers.NodeIDs(); len(got) != 3 {
				t.Errorf("it names the brokers %v, want all three", got)
			}
			cutOff(c, 1)
			time.Sleep(10 * time.Second)
		}
	})
}

// Who was told that a topic is made may ask any broker at once: each knows the
// leaders, which are the first replicas. So does a broker that starts again.
func TestLeadersOfANewTopicAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 3, brokertest.Options{})
		admin := kadm.NewClient(clusterClient(t, c))
		began := time.Now()
		for _, topic := range []string{"orders", "payments"} {
			if _, err := admin.CreateTopic(t.Context(), 30, -1, nil, topic); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took > 300*time.Millisecond {
			t.Errorf("two topics took %v, want 300ms", took)
		}
		known := func(when string, node int32) {
			t.Helper()
			for topic, detail := range metadataOf(t, c, node).Topics {
				if len(detail.Partitions) != 30 {
					t.Errorf("%s node %d knows %d partitions of %s, want 30", when, node, len(detail.Partitions), topic)
				}
				for _, p := range detail.Partitions {
					if p.Leader < 0 || when == "at first" && p.Leader != p.Replicas[0] {
						t.Errorf("%s node %d: %s-%d of %v is led by %d", when, node, topic, p.Partition, p.Replicas, p.Leader)
					}
				}
			}
		}
		for node := int32(1); node <= 3; node++ {
			known("at first", node)
		}
		for node := int32(1); node <= 3; node++ {
			if err := c.Kill(node); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if err := c.Start(t.Context(), node); err != nil {
				t.Fatal(err)
			}
			known("after its restart", node)
		}
	})
}

// A broker without a replica knows the leaders and coordinators all the same.
func TestMetadataOfPartitionsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := brokertest.StartCluster(t, 5, brokertest.Options{})
		client := clusterClient(t, c)
		if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 5, 3, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		kadm.NewClient(client).FindGroupCoordinators(t.Context(), "a") // makes the topic
		time.Sleep(3 * time.Second)
		for node := int32(1); node <= 5; node++ {
			for _, p := range metadataOf(t, c, node).Topics["orders"].Partitions {
				if p.Err != nil || !slices.Contains(p.Replicas, p.Leader) || p.LeaderEpoch < 0 || len(p.ISR) != 3 {
					t.Errorf("node %d: partition %d of %v is led by %d in epoch %d, in sync %v, %v", node, p.Partition, p.Replicas, p.Leader, p.LeaderEpoch, p.ISR, p.Err)
				}
			}
			alone := clusterClient(t, c, kgo.SeedBrokers(c.Addresses()[node-1]))
			found := kadm.NewClient(alone).FindGroupCoordinators(t.Context(), "a", "b", "c")
			for _, one := range found {
				if one.Err != nil {
					t.Errorf("asked at node %d: coordinator of %s: %v, %s", node, one.Name, one.Err, one.ErrMessage)
				}
			}
		}
	})
}

// metadataOf asks one broker.
func metadataOf(t *testing.T, c *brokertest.Cluster, node int32) kadm.Metadata {
	t.Helper()
	client := clusterClient(t, c, kgo.SeedBrokers(c.Addresses()[node-1]))
	defer client.Close()
	meta, err := kadm.NewClient(client).Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return meta
}
